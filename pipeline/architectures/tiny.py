"""A convolutional network for microcontrollers.

It has 9,666 parameters and needs 0.44 million multiplications for a 28 x 28 grey image. As int8,
trained with params.yaml on MNIST, it compares with `edge` as follows:

| architecture | test accuracy | bytes  | bytes of the arena |
| ------------ | ------------: | -----: | -----------------: |
| tiny         |       99.59 % | 16,936 |             11,064 |
| edge         |       99.63 % | 58,912 |             18,552 |

Few filters on the large maps keep the arena small, and few on the small maps keep the file small.
"""

from __future__ import annotations

import keras

from pipeline.architectures import _convolutions
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs

INPUT = "pixels"
CONVOLUTIONAL = True


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    hidden = network.hidden or [8, 16, 20, 24]
    own = Network(hidden=hidden, normalization="before")
    return _convolutions.model("tiny", inputs, num_classes, network, own)
