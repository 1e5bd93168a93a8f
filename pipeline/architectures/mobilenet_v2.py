"""MobileNetV2 (Sandler et al., 2018, arXiv 1801.04381): inverted residuals, 2.3 million parameters.

`train.network.width` narrows it: of width 0.35 it has 410,208 parameters before the output.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras

from pipeline.architectures import _backbone
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.training.pretrained_files import Published, fetch, nearest_size

INPUT = "pixels"
CONVOLUTIONAL = True
OWN_DROPOUT = True
WEIGHTS = "keras.applications.MobileNetV2, trained on ImageNet; Apache-2.0"

WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
SIZES = (96, 128, 160, 192, 224)
ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2"


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _backbone.complete(network)
    return _backbone.classifier("mobilenet_v2", features, inputs, num_classes, network)


def features(image: Any, width: float) -> Any:
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    network = keras.applications.MobileNetV2(
        input_tensor=scaled, alpha=width, include_top=False, weights=None, pooling="avg"
    )
    return network.output


def pretrained(inputs: Inputs, network: Network, file: Path | None) -> keras.Model:
    """The layers before the output with the weights in `file`. Raises UserError without one."""
    network = _backbone.complete(network)
    path = file or fetch(published(inputs.shape, network.width or 0))
    return _backbone.pretrained(features, inputs, network, partial(_backbone.read_h5, path=path))


def published(shape: tuple[int, ...], width: float) -> Published:
    """Keras's file for images of `shape`. Raises UserError for another width."""
    _backbone.check_width(width, WIDTHS)
    kernels = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels"
    name = f"{kernels}_{width}_{nearest_size(shape, SIZES)}_no_top.h5"
    return Published(name, f"{ADDRESS}/{name}")
