"""A small convolutional network along time, for series of measurements.

Every layer of convolutions is pooled. The mean and the maximum of each map over time let it take a
movement wherever in the window it is: a mean says how much of it there is, a maximum whether it
occurs at all. Dropout drops whole maps, since the maximum of thinned out ones would be another in
training than on a device. Time is the height of a map of width 1: converters fold batch
normalization into two-dimensional convolutions, but not into one-dimensional ones. Batch
normalization as the first layer brings all channels to one scale.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from pipeline.architectures import _convolutions, _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs

INPUT = "series"
CONVOLUTIONAL = True
OWN_DROPOUT = True

OWN = Network(
    hidden=[12, 16, 24, 32],
    normalization="before",
    input_normalization=True,
    dropout=[0.3],
    dropout_layer="SpatialDropout2D",
)
STEPS = 5  # of time that a kernel sees


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _layers.complete(network, OWN)
    maps = keras.Sequential(
        [
            *_layers.series(inputs, network),
            *_convolutions.convolutions_along_time(network, STEPS, inputs.shape[0]),
        ]
    )
    outputs = mean_and_maximum(maps.outputs[0])
    for layer in _layers.probabilities(num_classes, network):
        outputs = layer(outputs)
    return keras.Model(maps.inputs, outputs, name="series_cnn")


def mean_and_maximum(maps: Any) -> Any:
    """Over time, of maps (N, T, 1, C): (N, 2 C)."""
    means = layers.GlobalAveragePooling2D()(maps)
    highest = layers.Flatten()(layers.MaxPooling2D((maps.shape[1], 1))(maps))
    return layers.Concatenate()([means, highest])
