"""The convolutional network of Keras's example `mnist_convnet`: 32 and 64 filters, each pooled.

The dropout at the end is 50 %.
"""

from __future__ import annotations

import keras

from pipeline.architectures import _convolutions, _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs

INPUT = "pixels"
CONVOLUTIONAL = True
OWN_DROPOUT = True

OWN = Network(hidden=[32, 64], convolution="full", end="flatten", dropout=[0.5])


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _layers.complete(network, OWN)
    return keras.Sequential(
        [
            *_layers.pixels(inputs, network),
            *_convolutions.convolutions(network, "valid", lambda _: True),
            *_layers.probabilities(num_classes, network),
        ],
        name="cnn",
    )
