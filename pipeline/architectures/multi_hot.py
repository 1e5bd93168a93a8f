"""The dense network on ids: which words a text has, or one user and one item. Of any depth; 16 and 16 units unless told otherwise.

Ids go in, as a device has them; their multi-hot row is made inside the model. With one id of a user and one of an item that
row is the two one-hot rows side by side.
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
