"""A residual network for spoken words, half of which works along time alone.

After Kim, Chang, Lee and Sung, "Broadcasted Residual Learning for Efficient Keyword Spotting"
(2021, Interspeech, arXiv:2106.04140). A convolution, then a block for each further value of
`train.network.hidden`. A block filters along the bands; then it takes the mean of all bands,
filters it along time, and adds the result to every band. A block with other filters than the one
before halves the bands, as long as more than four are left, and looks twice as far in time. Unlike
theirs, all bands are normalized together and the activations are the network's own.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from pipeline.architectures import _convolutions, _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.training import keras_objects

INPUT = "sounds"
CONVOLUTIONAL = True
OWN_DROPOUT = True

OWN = Network(
    hidden=[16, 8, 8, 12, 12, 16, 16, 16, 16, 20, 20, 20, 20], normalization="before", dropout=0.1
)
KERNEL = (5, 5)  # frames and bands of the first layer
FEWEST = 4  # bands


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _layers.complete(network, OWN)
    _layers.check_drop_connect(network)
    sound, *entry = _layers.sounds(inputs, network)
    maps = _through([*entry, *_layers.hidden(network, 0, _entry_convolution, [])], sound)
    filters, reach = network.hidden or [], 1
    for index in range(1, len(filters)):
        if index > 1 and filters[index] != filters[index - 1]:
            reach *= 2
        maps = _block(maps, network, index, reach)
    bands = layers.DepthwiseConv2D((1, maps.shape[2]), use_bias=False)
    end = [bands, _layers.normalization(network), layers.GlobalAveragePooling2D()]
    end += _layers.probabilities(num_classes, network)
    return keras.Model(sound, _through(end, maps), name="bc_resnet")


def _block(maps: Any, network: Network, index: int, reach: int) -> Any:
    """The maps and what is added to them. The last activation comes after the sum."""
    assert network.hidden is not None
    linear = network.model_copy(update={"activation": "linear"})
    added = [maps]
    if network.hidden[index] != maps.shape[-1]:
        plain = network.model_copy(update={"dropout": 0.0})
        pooling = [layers.MaxPooling2D((1, 2))] if maps.shape[2] > FEWEST else []
        maps = _through(_layers.hidden(plain, index, _convolutions.pointwise, pooling), maps)
        added = []
    maps = _through([_filter((1, 3)), _layers.normalization(network)], maps)
    along_time = [
        layers.AveragePooling2D((1, maps.shape[2])),
        _filter((3, 1), dilation_rate=(reach, 1)),
        _layers.normalization(network),
        _activation(network, index),
        *_layers.hidden(linear, index, _convolutions.pointwise, []),
    ]
    total = layers.Add()([maps, _through(along_time, maps)])
    return _activation(network, index)(layers.Add()([total, *added]) if added else total)


def _activation(network: Network, index: int) -> keras.Layer:
    return keras_objects.activation(_layers.each(network, "activation")[index] or "linear")


def _filter(kernel: tuple[int, int], **options: Any) -> keras.Layer:
    """A kernel for each map."""
    return layers.DepthwiseConv2D(kernel, padding="same", use_bias=False, **options)


def _entry_convolution(filters: int, **options: Any) -> keras.Layer:
    return layers.Conv2D(filters, KERNEL, strides=(1, 2), padding="same", **options)


def _through(path: list[Any], maps: Any) -> Any:
    for layer in path:
        maps = layer(maps)
    return maps
