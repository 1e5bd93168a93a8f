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
# SHA-256 by width and size: WEIGHTS_HASHES of a later keras/src/applications/mobilenet.py than that
# of Keras 3.16. A copy of 2_5_224 was found elsewhere, and has that checksum.
SHA256 = {
    "2_5_128": "7d8b7f3c9555cb4579f9659ee233a540e66fd7ad514c0a8b14493b667447c5d6",
    "2_5_160": "c2f18432229c945b816f8b9f9cfa40d2964454b033efea804f6cd03942865bd4",
    "2_5_192": "4b7370b9880577f12f31942049d19610a4559c8af38f39dc67d1f90ec9663aa1",
    "2_5_224": "dbdb03ee2a22fd895301636cd328b234bb3a9952358f436d82f46b81e0d5b0bf",
    "5_0_128": "7f9871530e19990a9a180626566fcc32fb487c70880306592cae219d67179635",
    "5_0_160": "7b15a4d22079138dd889a78cdea8d921a3b73cf7d313ff12f23634c4f71bcace",
    "5_0_192": "b848a83f140e284973d80805dc4c184a0a885dadcc1700630a86879c9103d5b1",
    "5_0_224": "df860c59562f4c4af7a2fb2ae90731caef39fd5d03e5fcd6ca46988965f0a4b7",
    "7_5_128": "dcc5aaa418bbf397a431e79a52be0ad1a61fb6364a9bb6d68b5258f13669c8ba",
    "7_5_160": "6056d87ad4e3b341cc8272d68b54a8a113ef0b0e5ab1399e4a801d2942a064fa",
    "7_5_192": "b8ea4352b99a87552c0b84c59b59d146b823b684766026ed8f0c68d3aab9e677",
    "7_5_224": "1da9019b66f05a0256dedfed0f321fcaf8bfa71f9facf3f9117e62820be39aa5",
    "1_0_128": "8fbb8332b956430de61ad4fa1ab261ab5b7922ef1d0f38c30056a485ec0d4ecb",
    "1_0_160": "22d25b67a8936869b5f0d0c840ba150c90dc89c0b07f8aacd387614be67845d2",
    "1_0_192": "d67556231564ded95aaa7a44004c73aa9696fba267a6817f430eee097af11782",
    "1_0_224": "9f9cfd8c925431c06ce96744e1d201575f6a681bf38ae2de38e2ae8f7d7829d3",
}
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
    """The layers before the output with the weights in `file`, or the published ones."""
    network = _backbone.complete(network, OWN)
    path = file or fetch(published(inputs.shape, network.width or 0))
    return _backbone.pretrained(features, inputs, network, partial(_backbone.read_h5, path=path))


def published(shape: tuple[int, ...], width: float) -> Published:
    """Keras's file for images of `shape`. Raises UserError for another width."""
    _backbone.check_width(width, tuple(WIDTHS))
    which = f"{WIDTHS[width]}_{nearest_size(shape, SIZES)}"
    name = f"mobilenet_{which}_tf_no_top.h5"
    return Published(name, f"{ADDRESS}/{name}", "sha256", SHA256[which])
