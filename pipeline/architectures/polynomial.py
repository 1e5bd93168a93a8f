"""A polynomial of each channel of a series, as in ridge regression: its powers and a dense layer.

`train.network.hidden` is the degree, 9 by default, and `kernel_regularizer` the penalty on the
weights. The powers are normalized: those of a high degree would leave the others no share.
"""

from __future__ import annotations

import keras
from keras import layers

from pipeline.architectures import _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.training import keras_objects

INPUT = "series"

OWN = Network(hidden=[9])


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    _layers.check(INPUT, inputs)
    network = _layers.complete(network, OWN)
    assert network.hidden is not None
    measured = keras.Input(inputs.shape, name="image")
    powers = [layers.Flatten()(measured)]
    for _ in range(network.hidden[0] - 1):
        powers.append(layers.Multiply()([powers[-1], powers[0]]))
    features = layers.Concatenate()(powers) if len(powers) > 1 else powers[0]
    values = _layers.normalization(network)(features)
    output = _layers.probabilities(num_classes, network)
    penalty = _layers.each(network, "kernel_regularizer")[0]
    output[0].kernel_regularizer = keras_objects.regularizer(penalty)
    for layer in output:
        values = layer(values)
    return keras.Model(measured, values, name="polynomial")
