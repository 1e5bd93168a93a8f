"""What the architectures share: the way in, hidden layers as `train.network` describes them, and the way out."""

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

# the average of batch normalization moves fast (Keras's own momentum is 0.99), because schedules here are short
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
    """`network`; where it says nothing, the architecture's own, and where that says nothing, the defaults."""
    return network.over(own).over(DEFAULTS)


def taking(kind: str) -> str:
    """The architectures whose INPUT this is."""
    return ", ".join(
        name
        for name in choices("architectures")
        if declared("architectures", name).get("INPUT") == kind
    )


def pixels(inputs: Inputs, network: Network, *shaping: keras.Layer) -> list[Any]:
    """The way in for images: raw pixels, scaled to 0 to 1 and shaped. Raises UserError for other data."""
    if inputs.dtype != "uint8":
        raise UserError(
            f"the dataset holds ids of shape {inputs.shape}, and this architecture takes images; expected {taking('ids')}"
        )
    return [
        keras.Input(inputs.shape, name="image"),
        layers.Rescaling(1 / 255),
        *shaping,
        *entry(network),
    ]


def ids(inputs: Inputs, network: Network, encoding: keras.layers.Layer) -> list[Any]:
    """The way in for ids. Raises UserError for other data."""
    if inputs.dtype != "int32":
        raise UserError(
            f"the dataset holds images of shape {inputs.shape}, and this architecture takes ids; expected one of {taking('pixels')}"
        )
    return [keras.Input(inputs.shape, dtype="int32", name="image"), encoding, *entry(network)]


def entry(network: Network) -> list[keras.Layer]:
    """Batch normalization as the first layer, and dropout on the input, where asked for."""
    first = [normalization(network)] if network.input_normalization else []
    return [*first, *dropout(network, network.input_dropout)]


def hidden(
    network: Network, index: int, weights: Layers, pooling: list[keras.Layer]
) -> list[keras.Layer]:
    """Hidden layer `index`: weights, activation, batch normalization before or after it, pooling, dropout.

    Before the activation, the offset of batch normalization does what the bias would do, so the bias is left out.
    """
    assert network.hidden is not None
    where = each(network, "normalization")[index]
    return [
        weights(
            network.hidden[index],
            use_bias=where != "before",
            kernel_initializer=keras_objects.initializer(
                each(network, "kernel_initializer")[index] or "glorot_uniform"
            ),
            kernel_regularizer=keras_objects.regularizer(
                each(network, "kernel_regularizer")[index]
            ),
        ),
        *([normalization(network)] if where == "before" else []),
        keras_objects.activation(each(network, "activation")[index] or "linear"),
        *([normalization(network)] if where == "after" else []),
        *pooling,
        *dropout(network, each(network, "dropout")[index]),
    ]


def each(network: Network, key: str) -> list[Any]:
    """A value of the network for each hidden layer; a list that is shorter belongs to the last ones. Raises UserError."""
    value, count = getattr(network, key), len(network.hidden or [])
    if not isinstance(value, list):
        return [value] * count
    if len(value) > count:
        raise UserError(
            f"train.network.{key} has {len(value)} values for {count} hidden layers; give one for all, or one for each"
        )
    return [None] * (count - len(value)) + value


def normalization(network: Network) -> keras.Layer:
    return layers.BatchNormalization(momentum=network.normalization_momentum)


def dropout(network: Network, rate: float | None) -> list[keras.Layer]:
    return [keras_objects.dropout(network.dropout_layer or "Dropout", rate)] if rate else []


def dense(network: Network) -> list[keras.Layer]:
    """The hidden layers of a dense network of any depth."""

    def weights(units: int, **options: Any) -> keras.Layer:
        return (
            DropConnect(units, network.drop_connect, **options)
            if network.drop_connect
            else layers.Dense(units, **options)
        )

    return [
        layer
        for index in range(len(network.hidden or []))
        for layer in hidden(network, index, weights, [])
    ]


def convolutions(
    network: Network, padding: str, pool_after: Callable[[int], bool]
) -> list[keras.Layer]:
    """The hidden layers of a convolution network: 3 x 3, with a pooling after those that `pool_after` names; flat at the end."""
    if network.drop_connect:
        raise UserError(
            "train.network.drop_connect drops weights of dense hidden layers, which this architecture has not; allowed is 0"
        )

    def weights(filters: int, **options: Any) -> keras.Layer:
        return layers.Conv2D(filters, 3, padding=padding, **options)

    result = []
    for index in range(len(network.hidden or [])):
        result += hidden(
            network, index, weights, [layers.MaxPooling2D()] if pool_after(index) else []
        )
    return [*result, layers.Flatten()]


def probabilities(num_classes: int, network: Network) -> list[keras.Layer]:
    """The way out: softmax, or one sigmoid unit for two classes. Raises UserError for a sigmoid and more classes.

    The sigmoid of z is the softmax of (0, z), and so gives both probabilities, as every consumer expects them.
    """
    if network.output == "softmax":
        return [
            layers.Dense(num_classes, activation="softmax", name="probabilities", dtype="float32")
        ]
    if num_classes != 2:
        raise UserError(
            f"train.network.output is sigmoid, which is for 2 classes, and the dataset has {num_classes}; allowed is softmax"
        )
    return [
        layers.Dense(1, dtype="float32"),
        layers.Reshape((1, 1), dtype="float32"),
        layers.ZeroPadding1D((1, 0), dtype="float32"),
        layers.Flatten(dtype="float32"),
        layers.Softmax(name="probabilities", dtype="float32"),
    ]


class DropConnect(layers.Dense):
    """A dense layer that drops weights while it trains, a fresh choice for each batch (Wan et al., 2013, ICML).

    What stays is scaled up by 1 / (1 - rate), so that the trained layer is a plain Dense with the same weights.
    """

    def __init__(self, units: int, rate: float, **options: Any) -> None:
        super().__init__(units, **options)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training:
            return super().call(inputs)
        outputs = ops.matmul(
            inputs, keras.random.dropout(self.kernel, self.rate, seed=self.seed_generator)
        )
        return outputs if self.bias is None else ops.add(outputs, self.bias)
