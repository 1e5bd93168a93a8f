"""A depthwise separable convolutional network for spoken words on microcontrollers.

After Zhang, Suda, Lai and Chandra, "Hello Edge: Keyword Spotting on Microcontrollers" (2017,
arXiv:1711.07128), whose DS-CNN is also the keyword reference of MLPerf Tiny: a convolution with a
kernel of 10 frames and 4 bands and strides of 2, then pairs of a depthwise 3 x 3 and a pointwise
convolution, and the mean of each map. Theirs has 64 filters everywhere. Here the first maps are
fewer and one more layer has strides of 2, so that the arena of a second of sound is small.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from pipeline.architectures import _convolutions, _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs

INPUT = "sounds"
CONVOLUTIONAL = True
OWN_DROPOUT = True

OWN = Network(hidden=[28, 40, 56, 72], normalization="before", dropout=[0.3])
KERNEL = (10, 4)  # frames and bands of the first layer


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _layers.complete(network, OWN)
    _layers.check_drop_connect(network)
    first, *others = range(len(network.hidden or []))
    result = _layers.hidden(network, first, entry_convolution, [])
    for index in others:
        strides = 2 if index == 1 else 1
        result += _convolutions.depthwise(network, "same", strides)
        result += _layers.hidden(network, index, _convolutions.pointwise, [])
    return keras.Sequential(
        [
            *_layers.sounds(inputs, network),
            *result,
            layers.GlobalAveragePooling2D(),
            *_layers.probabilities(num_classes, network),
        ],
        name="ds_cnn",
    )


def entry_convolution(filters: int, **options: Any) -> keras.Layer:
    return layers.Conv2D(filters, KERNEL, strides=2, padding="same", **options)
