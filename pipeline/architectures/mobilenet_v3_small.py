"""MobileNetV3 small (Howard et al., 2019, arXiv 1905.02244): squeeze-and-excitation, hard swish.

It has 0.9 million parameters before the output, and is the fastest of the backbones on a CPU.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras

from pipeline.architectures import _backbone
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.training.pretrained_files import Published, fetch

INPUT = "pixels"
CONVOLUTIONAL = True
OWN_DROPOUT = True
WEIGHTS = "keras.applications.MobileNetV3Small, trained on ImageNet; Apache-2.0"

# MD5 by width, as in keras/src/applications/mobilenet_v3.py of Keras 3.15
MD5 = {0.75: "ebdb5cc8e0b497cd13a7c275d475c819", 1.0: "d3e8ec802a04aa4fc771ee12a9a9b836"}
ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v3"


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _backbone.complete(network)
    return _backbone.classifier("mobilenet_v3_small", features, inputs, num_classes, network)


def features(image: Any, width: float) -> Any:
    network = keras.applications.MobileNetV3Small(  # it scales the pixels itself
        input_tensor=image, alpha=width, include_top=False, weights=None, pooling="avg"
    )
    return network.output


def pretrained(inputs: Inputs, network: Network, file: Path | None) -> keras.Model:
    """The layers before the output with the weights in `file`, or the published ones."""
    network = _backbone.complete(network)
    path = file or fetch(published(network.width or 0))
    return _backbone.pretrained(features, inputs, network, partial(_backbone.read_h5, path=path))


def published(width: float) -> Published:
    """Keras's file. Raises UserError for another width."""
    _backbone.check_width(width, tuple(MD5))
    name = f"weights_mobilenet_v3_small_224_{width}_float_no_top_v2.h5"
    return Published(name, f"{ADDRESS}/{name}", "md5", MD5[width])
