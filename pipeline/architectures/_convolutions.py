"""Hidden layers that convolutional networks share, from the first maps to one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from pipeline.architectures import _layers
from pipeline.config.params import End, Network
from pipeline.files.artifacts import Inputs


def model(
    name: str, inputs: Inputs, num_classes: int, network: Network, own: Network
) -> keras.Model:
    """A convolutional network for a device, whose maps are pooled after every other layer.

    `own` are the architecture's values for what `network` leaves open. Raises UserError.
    """
    own = own.model_copy(update={"convolution": "full", "end": end(inputs)})
    network = _layers.complete(network, own)
    depth = len(network.hidden or [])
    # four unpadded convolutions leave nothing of a smaller image
    padding = "valid" if min(inputs.shape[:2]) >= 28 and depth <= 4 else "same"

    def pool_after(index: int) -> bool:
        return index % 2 == 0 and index < depth - 1

    return keras.Sequential(
        [
            *_layers.pixels(inputs, network),
            *convolutions(network, padding, pool_after),
            *_layers.probabilities(num_classes, network),
        ],
        name=name,
    )


def convolutions(
    network: Network, padding: str, pool_after: Callable[[int], bool]
) -> list[keras.Layer]:
    """The hidden layers of a convolutional network with 3 x 3 kernels, and its end.

    `pool_after` says, by the index of a layer, whether pooling follows it. The first layer is never
    separable: it has few input channels, so its weights are few. Raises UserError.
    """
    _layers.check_drop_connect(network)

    def full(filters: int, **options: Any) -> keras.Layer:
        return layers.Conv2D(filters, 3, padding=padding, **options)

    result = []
    for index in range(len(network.hidden or [])):
        pooling: list[keras.Layer] = [layers.MaxPooling2D()] if pool_after(index) else []
        if network.convolution == "separable" and index > 0:
            result += depthwise(network, padding)
            result += _layers.hidden(network, index, pointwise, pooling)
        else:
            result += _layers.hidden(network, index, full, pooling)
    end = layers.GlobalAveragePooling2D() if network.end == "mean" else layers.Flatten()
    return [*result, end]


def depthwise(network: Network, padding: str, strides: int = 1) -> list[keras.Layer]:
    """The first half of a separable convolution: a 3 x 3 kernel for each map."""
    return [
        layers.DepthwiseConv2D(3, strides=strides, padding=padding, use_bias=False),
        _layers.normalization(network),
        layers.Activation("relu"),
    ]


def pointwise(filters: int, **options: Any) -> keras.Layer:
    """The second half: the maps are mixed, pixel by pixel."""
    return layers.Conv2D(filters, 1, **options)


def end(inputs: Inputs) -> End:
    """How the last maps become a row: the mean of each map, or its pixels if images are small.

    Flattened maps of a large image need a dense layer of more weights than all others together, and
    tie each of them to one place. Accuracy on 1,000 images of CIFAR-10 (5,000 for training) and on
    three tenths of TrashNet, and the number of parameters:

    | data, pixels  | architecture | flattened       | means          |
    | ------------- | ------------ | --------------: | -------------: |
    | CIFAR-10, 32  | edge         | 58.1 %,  52,874 | 60.8 %, 47,754 |
    | CIFAR-10, 32  | tiny         | 51.7 %,  11,010 | 53.8 %,  9,090 |
    | TrashNet, 48  | edge         | 72.7 %,  65,926 | 72.4 %, 47,494 |
    | TrashNet, 48  | tiny         | 64.8 %,  15,902 | 65.0 %,  8,990 |
    | TrashNet, 96  | edge         | 70.6 %, 185,734 | 71.5 %, 47,494 |

    One seed each, 10 to 14 epochs; the intervals are 3 to 4 points either way, so the accuracy is
    about the same, and the weights are fewer.
    """
    return "mean" if min(inputs.shape[:2]) > 28 else "flatten"


def convolutions_along_time(network: Network, kernel: int, steps: int) -> list[keras.Layer]:
    """The hidden layers of a convolutional network on maps (T, 1, C).

    Pooling halves the steps after each layer, as long as there are two. Raises UserError.
    """
    _layers.check_drop_connect(network)

    def weights(filters: int, **options: Any) -> keras.Layer:
        return layers.Conv2D(filters, (kernel, 1), padding="same", **options)

    result = []
    for index in range(len(network.hidden or [])):
        pooled = steps >> (index + 1) > 0
        pooling: list[keras.Layer] = [layers.MaxPooling2D((2, 1))] if pooled else []
        result += _layers.hidden(network, index, weights, pooling)
    return result
