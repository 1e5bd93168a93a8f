"""A convolution network for microcontrollers: 9,666 parameters and 0.44 million multiplications for 28 x 28 grey images.

With the recipe of params.yaml it has 99.59 % on MNIST's test set as int8, in 18,304 bytes and with an arena of 11,064 bytes, where
`edge` has 99.64 %, 60,144 and 18,552. Few filters on the large maps keep the arena small, few on the small ones the file.
"""

from __future__ import annotations

import keras

from pipeline.architectures import _layers
from pipeline.config.params import Network, Place
from pipeline.files.artifacts import Inputs

INPUT = "pixels"
CONVOLUTIONAL = True


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    hidden = network.hidden or [8, 16, 20, 24]
    depth = len(hidden)
    places: list[Place | None] = ["before"] * depth
    network = _layers.complete(network, Network(hidden=hidden, normalization=places))
    unpadded = (
        min(inputs.shape[:2]) >= 28 and depth <= 4
    )  # four unpadded convolutions leave nothing of a smaller image
    return keras.Sequential(
        [
            *_layers.pixels(inputs, network),
            *_layers.convolutions(
                network,
                "valid" if unpadded else "same",
                lambda index: index % 2 == 0 and index < depth - 1,
            ),
            *_layers.probabilities(num_classes, network),
        ],
        name="tiny",
    )
