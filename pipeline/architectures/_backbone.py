"""What backbones share: the way in, global pooling, the output, and weights trained on ImageNet.

A backbone is a published network for photos of 96 to 224 pixels. Its module has, besides `build`:

- `features(image, width)`: pooled features (N, F) of raw pixels (N, H, W, C)
- `pretrained(inputs, network, file)`: the same layers with trained weights
- `WEIGHTS`: where those weights come from and how they are licensed, for the model card

It may have `LOWER_LAYERS`, how many stay frozen where `edgeproof advise` lets the others learn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from pipeline.architectures import _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.process.errors import UserError

Features = Callable[[Any, float], Any]

# A fast moving average, as in `_layers`. It matters only where a backbone is trained from scratch.
DEFAULTS = Network(
    width=1.0,
    dropout=0.2,
    dropout_layer="Dropout",
    normalization_momentum=0.9,
    output="softmax",
)
TAKEN = [name for name, value in DEFAULTS if value is not None]


def complete(network: Network, own: Network | None = None) -> Network:
    """`network` with the values of `own`, then of DEFAULTS, where it has None.

    Raises UserError for a value that a published network cannot take.
    """
    for name, value in network:
        if value is not None and name not in TAKEN:
            raise UserError(
                f"train.network.{name} is {value!r}, and the layers of a backbone are fixed; "
                f"expected null, as for all of train.network but {', '.join(TAKEN)}"
            )
    if isinstance(network.dropout, list):
        raise UserError(
            "train.network.dropout is a list, and a backbone has one dropout, before the output; "
            "expected a number"
        )
    return network.over(own or Network()).over(DEFAULTS)


def classifier(
    name: str, features: Features, inputs: Inputs, num_classes: int, network: Network
) -> keras.Model:
    """The backbone, dropout and the output; `network` is complete."""
    _layers.check("pixels", inputs)
    model = backbone(features, inputs.shape, network)
    assert not isinstance(network.dropout, list)
    outputs = model.output
    for layer in [
        *_layers.dropout(network, network.dropout),
        *_layers.probabilities(num_classes, network),
    ]:
        outputs = layer(outputs)
    return keras.Model(model.inputs[0], outputs, name=name)


def backbone(features: Features, shape: tuple[int, ...], network: Network) -> keras.Model:
    """The layers before the output, with fresh weights."""
    image = keras.Input(shape, name="image")
    assert network.width is not None
    model = keras.Model(image, features(image, network.width))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = network.normalization_momentum
    return model


def pretrained(
    features: Features, inputs: Inputs, network: Network, assign: Callable[[keras.Model], None]
) -> keras.Model:
    """The layers before the output, with the weights that `assign` gives to a model of RGB images.

    A grey image has the same value in all three channels, so the kernels of the channels add up.
    """
    colour = backbone(features, (*inputs.shape[:2], 3), network)
    assign(colour)
    if inputs.shape[2] == 3:
        return colour
    grey = backbone(features, inputs.shape, network)
    kernel, *others = colour.get_weights()
    grey.set_weights([kernel.sum(2, keepdims=True), *others])
    return grey


def read_h5(model: keras.Model, path: Path) -> None:
    """Assigns a file of keras.applications, without the output layer. Raises UserError."""
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} does not hold the weights of this backbone ({reason}); expected the file of "
            "keras.applications whose name ends in _no_top.h5, of the same train.network.width"
        ) from None


def check_width(width: float | None, widths: tuple[float, ...]) -> None:
    """Raises UserError if no weights of that width were published."""
    if width not in widths:
        raise UserError(
            f"train.network.width is {width:g}, and weights of ImageNet were published for "
            f"{', '.join(f'{value:g}' for value in widths)}; expected one of them"
        )
