"""The dense network of the lectures, of any depth; by default 512 and 64 ReLU units."""

from __future__ import annotations

import keras
from keras import layers

from pipeline.architectures import _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs

INPUT = "pixels"

OWN = Network(hidden=[512, 64])


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _layers.complete(network, OWN)
    return keras.Sequential(
        [
            *_layers.pixels(inputs, network, layers.Flatten()),
            *_layers.dense(network),
            *_layers.probabilities(num_classes, network),
        ],
        name="mlp",
    )
