"""Layers that architectures share: the input, the hidden layers of `train.network`, the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from pipeline.config.params import Network
from pipeline.config.parts import choices, declared
from pipeline.files.artifacts import Inputs
from pipeline.process.errors import UserError
from pipeline.training import keras_objects

Layers = Callable[..., keras.Layer]  # makes a layer with weights from its units or filters

# the moving average of batch normalization is fast (Keras's default momentum is 0.99), because
# schedules here are short
DEFAULTS = Network(
    activation="relu",
    kernel_initializer="glorot_uniform",
    normalization="none",
    normalization_momentum=0.9,
    input_normalization=False,
    dropout=0.0,
    input_dropout=0.0,
    dropout_layer="Dropout",
    drop_connect=0.0,
    output="softmax",
)


def complete(network: Network, own: Network) -> Network:
    """`network`, with values that are None taken from `own`, and then from DEFAULTS.

    Raises UserError for a width, which only the backbones have, and for a kind of convolution or of
    end if `own` has none.
    """
    if network.width is not None:
        raise UserError(
            f"train.network.width is {network.width:g}, which is for backbones, and this "
            "architecture takes the filters of each layer in train.network.hidden; expected null"
        )
    for key in ("convolution", "end"):
        value = getattr(network, key)
        if value is not None and getattr(own, key) is None:
            raise UserError(
                f"train.network.{key} is {value}, which is for edge, tiny and cnn; expected null"
            )
    return network.over(own).over(DEFAULTS)


def check(kind: str, inputs: Inputs) -> None:
    """Raises UserError if the dataset is of another kind than the architecture takes."""
    if inputs.kind == kind:
        return
    held, taken = (declared("inputs", name)["NOUN"] for name in (inputs.kind, kind))
    matching = [
        name
        for name in choices("architectures")
        if declared("architectures", name).get("INPUT") == inputs.kind
    ]
    raise UserError(
        f"the dataset holds {held} of shape {inputs.shape}, and this architecture takes {taken}; "
        f"expected {'one of ' if len(matching) > 1 else ''}{', '.join(matching)}"
    )


def pixels(inputs: Inputs, network: Network, *shaping: keras.Layer) -> list[Any]:
    """The input layers for images: raw pixels, scaled to 0 to 1 and shaped.

    Raises UserError for other data.
    """
    check("pixels", inputs)
    return [
        keras.Input(inputs.shape, name="image"),
        layers.Rescaling(1 / 255),
        *shaping,
        *entry(network),
    ]


def ids(inputs: Inputs, network: Network, encoding: keras.layers.Layer) -> list[Any]:
    """The input layers for ids. Raises UserError for other data."""
    check("ids", inputs)
    return [keras.Input(inputs.shape, dtype="int32", name="image"), encoding, *entry(network)]


def series(inputs: Inputs, network: Network) -> list[Any]:
    """The input layers for series: maps (T, 1, C), whose height is time.

    Raises UserError for other data.
    """
    check("series", inputs)
    steps, channels = inputs.shape
    return [
        keras.Input(inputs.shape, name="image"),
        layers.Reshape((steps, 1, channels)),
        *entry(network),
    ]


def sounds(inputs: Inputs, network: Network) -> list[Any]:
    """The input layers for sounds: raw features (T, bands, 1), scaled to 0 to 1.

    Raises UserError for other data.
    """
    check("sounds", inputs)
    return [keras.Input(inputs.shape, name="image"), layers.Rescaling(1 / 255), *entry(network)]


def entry(network: Network) -> list[keras.Layer]:
    """Batch normalization and dropout of the input, if the network has them."""
    first = [normalization(network)] if network.input_normalization else []
    return [*first, *dropout(network, network.input_dropout)]


def hidden(
    network: Network, index: int, weights: Layers, pooling: list[keras.Layer]
) -> list[keras.Layer]:
    """Hidden layer `index`: weights, activation, pooling and dropout, with batch normalization.

    Batch normalization before the activation has an offset, so the layer then has no bias.
    """
    assert network.hidden is not None
    place = each(network, "normalization")[index]
    initializer = each(network, "kernel_initializer")[index] or "glorot_uniform"
    return [
        weights(
            network.hidden[index],
            use_bias=place != "before",
            kernel_initializer=keras_objects.initializer(initializer),
            kernel_regularizer=keras_objects.regularizer(
                each(network, "kernel_regularizer")[index]
            ),
        ),
        *([normalization(network)] if place == "before" else []),
        keras_objects.activation(each(network, "activation")[index] or "linear"),
        *([normalization(network)] if place == "after" else []),
        *pooling,
        *dropout(network, each(network, "dropout")[index]),
    ]


def each(network: Network, key: str) -> list[Any]:
    """The value `key` of the network for each hidden layer; a shorter list is for the last ones.

    Raises UserError for a longer list.
    """
    value, count = getattr(network, key), len(network.hidden or [])
    if not isinstance(value, list):
        return [value] * count
    if len(value) > count:
        raise UserError(
            f"train.network.{key} has {len(value)} values for {count} hidden layers; "
            "expected one value for all, or one for each"
        )
    return [None] * (count - len(value)) + value


def normalization(network: Network) -> keras.Layer:
    return layers.BatchNormalization(momentum=network.normalization_momentum)


def dropout(network: Network, rate: float | None) -> list[keras.Layer]:
    return [keras_objects.dropout(network.dropout_layer or "Dropout", rate)] if rate else []


def dense(network: Network) -> list[keras.Layer]:
    """The hidden layers of a dense network of any depth."""

    def weights(units: int, **options: Any) -> keras.Layer:
        if network.drop_connect:
            return DropConnect(units, network.drop_connect, **options)
        return layers.Dense(units, **options)

    return [
        layer
        for index in range(len(network.hidden or []))
        for layer in hidden(network, index, weights, [])
    ]


def check_drop_connect(network: Network) -> None:
    """Raises UserError if connections are to be dropped, where no hidden layer is dense."""
    if network.drop_connect:
        raise UserError(
            f"train.network.drop_connect is {network.drop_connect:g}, which drops weights of dense "
            "hidden layers, and this architecture has none; expected 0"
        )


def probabilities(num_classes: int, network: Network) -> list[keras.Layer]:
    """The output layers: softmax, a sigmoid for each label, or one sigmoid unit for two classes.

    A number comes from one linear unit.

    sigmoid(z) is the second element of softmax((0, z)), which gives both probabilities, as every
    consumer expects them. Raises UserError for a sigmoid with more classes.
    """
    if network.output != "sigmoid":
        activation = "sigmoid" if network.output == "sigmoids" else network.output
        return [
            layers.Dense(num_classes, activation=activation, name="probabilities", dtype="float32")
        ]
    if num_classes != 2:
        raise UserError(
            "train.network.output is sigmoid, which is for 2 classes, and the dataset has "
            f"{num_classes}; expected softmax"
        )
    return [
        layers.Dense(1, dtype="float32"),
        layers.Reshape((1, 1), dtype="float32"),
        layers.ZeroPadding1D((1, 0), dtype="float32"),
        layers.Flatten(dtype="float32"),
        layers.Softmax(name="probabilities", dtype="float32"),
    ]


class DropConnect(layers.Dense):
    """A dense layer that drops random weights for each training batch (Wan et al., 2013, ICML).

    The others are scaled up by 1 / (1 - rate), so the trained layer is a plain Dense with the same
    weights.
    """

    def __init__(self, units: int, rate: float, **options: Any) -> None:
        super().__init__(units, **options)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training:
            return super().call(inputs)
        kernel = keras.random.dropout(self.kernel, self.rate, seed=self.seed_generator)
        outputs = ops.matmul(inputs, kernel)
        return outputs if self.bias is None else ops.add(outputs, self.bias)
