"""A small convolutional network for devices.

It has 49,386 parameters and needs 1.9 million multiplications for a 28 x 28 grey image. There are
few filters where the feature maps are large, and more where pooling has made them small: that keeps
both the time of an epoch and the memory of a microcontroller low. Every other layer is pooled, from
the first on, but not the last. Batch normalization is folded into the convolutions on export; the
first layer has none, since on the largest maps it would cost a sixth of an epoch without a gain.
"""

from __future__ import annotations

import keras

from pipeline.architectures import _convolutions, _layers
from pipeline.config.params import Network, Place
from pipeline.files.artifacts import Inputs

INPUT = "pixels"
CONVOLUTIONAL = True
OWN_DROPOUT = True


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    hidden = network.hidden or [16, 32, 48, 64]
    depth = len(hidden)
    places: list[Place | None] = ["none" if index == 0 else "before" for index in range(depth)]
    own = Network(
        hidden=hidden,
        convolution="full",
        end=_convolutions.end(inputs),
        normalization=places,
        dropout=[0.1],
    )
    network = _layers.complete(network, own)
    # four unpadded convolutions leave nothing of a smaller image
    padding = "valid" if min(inputs.shape[:2]) >= 28 and depth <= 4 else "same"

    def pool_after(index: int) -> bool:
        return index % 2 == 0 and index < depth - 1

    return keras.Sequential(
        [
            *_layers.pixels(inputs, network),
            *_convolutions.convolutions(network, padding, pool_after),
            *_layers.probabilities(num_classes, network),
        ],
        name="edge",
    )
