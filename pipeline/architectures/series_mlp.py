"""A dense network for short series of measurements: every value of a window has weights of its own.

It sees at which step something happens, but does not recognize a movement that begins later. So it
fits windows that all begin alike, such as a gesture that is cut out. Batch normalization as the
first layer brings all channels to one scale.
"""

from __future__ import annotations

import keras
from keras import layers

from pipeline.architectures import _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs

INPUT = "series"

OWN = Network(hidden=[32, 16], input_normalization=True)


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _layers.complete(network, OWN)
    return keras.Sequential(
        [
            *_layers.series(inputs, network),
            layers.Flatten(),
            *_layers.dense(network),
            *_layers.probabilities(num_classes, network),
        ],
        name="series_mlp",
    )
