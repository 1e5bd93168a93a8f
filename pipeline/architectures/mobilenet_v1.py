"""MobileNet (Howard et al., 2017, arXiv 1704.04861), of width 0.25 for microcontrollers.

At 96 x 96 x 3 it has 218,544 parameters before the output. Its largest maps are those of the first
depthwise block, which makes it the backbone with the smallest arena: docs/benchmarks.md has the
bytes.
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
WEIGHTS = "keras.applications.MobileNet, trained on ImageNet; Apache-2.0"

OWN = Network(width=0.25)
WIDTHS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
SIZES = (128, 160, 192, 224)
ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet"


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _backbone.complete(network, OWN)
    return _backbone.classifier("mobilenet_v1", features, inputs, num_classes, network)


def features(image: Any, width: float) -> Any:
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    network = keras.applications.MobileNet(
        input_tensor=scaled, alpha=width, include_top=False, weights=None, pooling="avg"
    )
    return network.output


def pretrained(inputs: Inputs, network: Network, file: Path | None) -> keras.Model:
    """The layers before the output with the weights in `file`. Raises UserError without one."""
    network = _backbone.complete(network, OWN)
    path = file or fetch(published(inputs.shape, network.width or 0))
    return _backbone.pretrained(features, inputs, network, partial(_backbone.read_h5, path=path))


def published(shape: tuple[int, ...], width: float) -> Published:
    """Keras's file for images of `shape`. Raises UserError for another width."""
    _backbone.check_width(width, tuple(WIDTHS))
    name = f"mobilenet_{WIDTHS[width]}_{nearest_size(shape, SIZES)}_tf_no_top.h5"
    return Published(name, f"{ADDRESS}/{name}")
