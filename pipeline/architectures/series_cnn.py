"""A small convolutional network along time, for series of measurements.

Every layer of convolutions is pooled, and the mean over time at the end lets it take a movement
wherever in the window it is. Time is the height of a map of width 1: converters fold batch
normalization into two-dimensional convolutions, but not into one-dimensional ones. Batch
normalization as the first layer brings all channels to one scale.
"""

from __future__ import annotations

import keras

from pipeline.architectures import _convolutions, _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs

INPUT = "series"
CONVOLUTIONAL = True
OWN_DROPOUT = True

OWN = Network(hidden=[16, 24, 32], normalization="before", input_normalization=True, dropout=[0.5])
STEPS = 5  # of time that a kernel sees


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _layers.complete(network, OWN)
    return keras.Sequential(
        [
            *_layers.series(inputs, network),
            *_convolutions.convolutions_along_time(network, STEPS, inputs.shape[0]),
            *_layers.probabilities(num_classes, network),
        ],
        name="series_cnn",
    )
