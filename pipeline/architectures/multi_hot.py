"""A dense network on ids: the words of a text, or one user and one item.

It has any depth; by default 16 and 16 units. The input is ids, as a device has them, and the model
itself makes their multi-hot row. For the ids of a user and an item that row is their two one-hot
rows side by side.
"""

from __future__ import annotations

import keras

from pipeline.architectures import _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.training.layers import MultiHot

INPUT = "ids"

OWN = Network(hidden=[16, 16])


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _layers.complete(network, OWN)
    return keras.Sequential(
        [
            *_layers.ids(inputs, network, MultiHot(inputs.highest)),
            *_layers.dense(network),
            *_layers.probabilities(num_classes, network),
        ],
        name="multi_hot",
    )
