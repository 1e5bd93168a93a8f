"""A residual network for small colour images (He, Zhang, Ren and Sun, 2016, CVPR).

A convolution, then a block of two convolutions for each of `train.network.hidden`, whose input is
added to its output, then the mean of each map. A block with other filters than the one before
halves the maps. Its own filters are those of MLPerf Tiny's image classifier (Banbury and others,
2021, NeurIPS Datasets and Benchmarks): 79 thousand parameters and 12.5 million multiplications for
32 x 32 pixels. [16, 16, 16, 32, 32, 32, 64, 64, 64] are those of the paper's ResNet-20. Unlike
both, it normalizes its shortcuts too.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from pipeline.architectures import _layers
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.training import keras_objects

INPUT = "pixels"
CONVOLUTIONAL = True

OWN = Network(hidden=[16, 32, 64], normalization="before")


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _layers.complete(network, OWN)
    _layers.check_drop_connect(network)
    image, *entry = _layers.pixels(inputs, network)
    maps = _through([*entry, *_layers.hidden(network, 0, _convolution(), [])], image)
    for index in range(len(network.hidden or [])):
        maps = _block(maps, network, index)
    end = [layers.GlobalAveragePooling2D(), *_layers.probabilities(num_classes, network)]
    return keras.Model(image, _through(end, maps), name="resnet")


def _block(maps: Any, network: Network, index: int) -> Any:
    """Two convolutions, and what they add to. The last activation comes after the sum."""
    assert network.hidden is not None
    other_filters = network.hidden[index] != maps.shape[-1]
    strides = 2 if other_filters else 1
    linear = network.model_copy(update={"activation": "linear", "dropout": 0.0})
    added = _layers.hidden(network, index, _convolution(strides=strides), [])
    added += _layers.hidden(linear, index, _convolution(), [])
    shortcut = _layers.hidden(linear, index, _convolution(1, strides), []) if other_filters else []
    total = layers.Add()([_through(added, maps), _through(shortcut, maps)])
    activation = _layers.each(network, "activation")[index] or "linear"
    return keras_objects.activation(activation)(total)


def _convolution(kernel: int = 3, strides: int = 1) -> _layers.Layers:
    def make(filters: int, **options: Any) -> keras.Layer:
        return layers.Conv2D(filters, kernel, strides=strides, padding="same", **options)

    return make


def _through(path: list[Any], maps: Any) -> Any:
    for layer in path:
        maps = layer(maps)
    return maps
