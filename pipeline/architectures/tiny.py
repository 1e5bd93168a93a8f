"""A convolutional network for microcontrollers.

It has 9,666 parameters and needs 0.44 million multiplications for a 28 x 28 grey image. As int8,
trained with params.yaml on MNIST, it compares with `edge` as follows:

| architecture | test accuracy | bytes  | bytes of the arena |
| ------------ | ------------: | -----: | -----------------: |
| tiny         |       99.59 % | 18,304 |             11,064 |
| edge         |       99.63 % | 60,176 |             18,552 |

Few filters on the large maps keep the arena small, and few on the small maps keep the file small.
"""

from __future__ import annotations

import keras

from pipeline.architectures import _convolutions, _layers
from pipeline.config.params import Network, Place
from pipeline.files.artifacts import Inputs

INPUT = "pixels"
CONVOLUTIONAL = True


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    hidden = network.hidden or [8, 16, 20, 24]
    depth = len(hidden)
    places: list[Place | None] = ["before"] * depth
    own = Network(
        hidden=hidden, convolution="full", end=_convolutions.end(inputs), normalization=places
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
        name="tiny",
    )
