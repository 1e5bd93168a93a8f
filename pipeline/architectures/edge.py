"""A small convolutional network for devices.

It has 49,386 parameters and needs 1.9 million multiplications for a 28 x 28 grey image. There are
few filters where the feature maps are large, and more where pooling has made them small: that keeps
both the time of an epoch and the memory of a microcontroller low. Every other layer is pooled, from
the first on, but not the last. Batch normalization is folded into the convolutions on export; the
first layer has none, since on the largest maps it would cost a sixth of an epoch without a gain.
"""

from __future__ import annotations

import keras

from pipeline.architectures import _convolutions
from pipeline.config.params import Network, Place
from pipeline.files.artifacts import Inputs

INPUT = "pixels"
CONVOLUTIONAL = True
OWN_DROPOUT = True


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    hidden = network.hidden or [16, 32, 48, 64]
    places: list[Place | None] = ["before"] * len(hidden)
    places[0] = "none"
    own = Network(hidden=hidden, normalization=places, dropout=[0.1])
    return _convolutions.model("edge", inputs, num_classes, network, own)
