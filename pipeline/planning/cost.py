"""What a training and its files will cost, before anything is trained.

Time and memory are measured: the pipeline's own training runs for a few batches of random inputs.
So are files and arenas: the network, with random weights, goes through the converter and the code
generator, and both depend on its shapes alone. tests/planning/test_boards.py compares them with
real exports.
"""

from __future__ import annotations

import importlib
import logging
import resource
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from pipeline import targets
from pipeline.config import boards
from pipeline.config.params import NONE, Params
from pipeline.config.parts import declared
from pipeline.embedded import _integer_c, microcontroller
from pipeline.files import artifacts, code, digests, timing_cache
from pipeline.files.artifacts import Array
from pipeline.planning import kinds
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.runtimes import environments
from pipeline.training.learning_curves import IMAGES_PER_SECOND

IMAGES, EPOCHS = 512, 2  # the first epoch includes the compilation, so the second is timed
VALIDATED, CALIBRATION = 64, 4  # images, and random inputs of the converter
FLOAT_BYTES = 4
BIAS = 0.01  # the deviation of biases that stand for trained ones
CARD_BYTES = 3_000  # the description that each file contains


@dataclass(frozen=True)
class Shape:
    """The inputs and the classes of a dataset."""

    shape: tuple[int, ...]
    num_classes: int
    kind: str = "pixels"
    target: str = "classes"
    highest: int = 255

    def random(self, count: int) -> tuple[Array, Array]:
        """Inputs (N, ...) and labels (N,), or (N, K) for several labels; numbers are float32."""
        rng = np.random.default_rng(0)
        labels = targets.target(self.target).random(rng, count, self.num_classes)
        return kinds.kind_of(self).random(rng, (count, *self.shape), self.highest), labels


@dataclass(frozen=True)
class NetworkFiles:
    """Bytes, and multiply-accumulates of one input.

    What the targets without Python need is None where they do not take the model; `refused` then
    says why. `micro_*` are those of TensorFlow Lite Micro, with the margins of `embed`.
    """

    parameters: int
    float_bytes: int
    integer_bytes: int
    c_flash_bytes: int | None = None
    c_arena_bytes: int | None = None
    multiply_accumulates: int | None = None
    micro_flash_bytes: int | None = None
    micro_arena_bytes: int | None = None
    micro_arena_bytes_esp32: int | None = None
    refused: str | None = None

    def misfit(self, board: str) -> str | None:
        """Why the board cannot take the model; None if it can, or if that is not known."""
        arena, esp_nn = self.micro_arena_bytes, self.micro_arena_bytes_esp32
        if arena is None or esp_nn is None or self.micro_flash_bytes is None:
            return None
        return boards.misfit(board, boards.arena(board, arena, esp_nn), self.micro_flash_bytes)


@dataclass(frozen=True)
class Speed:
    """Seconds per image, and bytes of memory at the peak.

    `training` is 0 if only an output layer is trained, on features that are computed once.
    """

    training: float
    inference: float
    memory_bytes: int


def files(settings: Params, data: Shape) -> NetworkFiles:
    """The files of the architecture in params.yaml. Cached. Raises UserError."""
    key = _key("files", settings, data, [settings.embed.format])
    cached = timing_cache.recall(key) or timing_cache.remember(key, asdict(_files(settings, data)))
    return NetworkFiles(**cached)


def speed(settings: Params, data: Shape) -> Speed:
    """How fast the training in params.yaml will be on this machine. Cached. Raises UserError."""
    what = "speed-of-head" if trains_on_features_alone(settings) else "speed"
    key = _key(what, settings, data, [])
    cached = timing_cache.recall(key) or timing_cache.remember(key, asdict(_speed(settings, data)))
    return Speed(**cached)


def _key(what: str, settings: Params, data: Shape, formats: list[str]) -> str:
    train = settings.train.model_copy(update={"epochs": 1, "patience": None})
    module = Path(__file__)
    used = [module.parents[1] / "formats" / f"{name}.py" for name in formats]
    used += [module.parents[1] / "architectures" / f"{settings.train.architecture}.py", module]
    sources = [artifacts.sha256(path) for path in sorted(code.closure(used))] if formats else []
    return f"{what}-{digests.of_facts([train.model_dump_json(), repr(data), *sources])}"


def _network(settings: Params, data: Shape) -> tuple[Any, Any]:
    """The pipeline's Data with random inputs, and the network with fresh weights."""
    with imports.keras_import():
        from pipeline.training import models
        from pipeline.training.batches import Data
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    batch = settings.train.batch_size
    rows = data.random(IMAGES if batch == "full" else max(IMAGES // batch, 1) * batch)
    few = (rows[0][:VALIDATED], rows[1][:VALIDATED])
    described = Data(rows, few, data.num_classes, data.kind, data.highest, data.target)
    return described, models.build(settings.train, described)


def _speed(settings: Params, data: Shape) -> Speed:
    described, network = _network(settings, data)
    from pipeline.training import fit, keras_files

    inputs = described.validation[0]
    with imports.quiet():
        keras_files.probabilities(network, inputs)
        began = time.perf_counter()
        keras_files.probabilities(network, inputs)
    inference = (time.perf_counter() - began) / len(inputs)
    if trains_on_features_alone(settings):
        return Speed(0.0, inference, _peak_bytes())
    # Fresh weights are as fast as published ones, and need not be fetched.
    fresh = {"weights": "none", "start_from": NONE, "start_layers": "hidden", "freeze": None}
    short: dict[str, Any] = {"epochs": EPOCHS, "thaw": [], "patience": None}
    train = settings.train.model_copy(update={**fresh, **short})
    with tempfile.TemporaryDirectory() as folder:
        rows = fit.fit(train, described, Path(folder), lambda row: None).rows
    return Speed(1 / rows[-1][IMAGES_PER_SECOND], inference, _peak_bytes())


def trains_on_features_alone(settings: Params) -> bool:
    return epochs_on_features(settings) == settings.train.epochs


def epochs_on_features(settings: Params) -> int:
    """The epochs before which the frozen layers were computed: each takes next to nothing."""
    train = settings.train
    frozen = train.freeze == "all" or (train.freeze is None and train.starts_from_a_backbone)
    if not frozen or train.augmentation or train.outliers:
        return 0
    return train.thaw[0].after if train.thaw else train.epochs


def _peak_bytes() -> int:
    """The most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _files(settings: Params, data: Shape) -> NetworkFiles:
    _, network = _network(settings, data)
    parameters = network.count_params()
    measured: dict[str, Any] = {
        "parameters": parameters,
        "float_bytes": FLOAT_BYTES * parameters + CARD_BYTES,
        "integer_bytes": parameters + CARD_BYTES,
    }
    if parameters > microcontroller.LARGEST_MODEL:
        reason = f"{parameters:,} parameters are more than a microcontroller has room for"
        return NetworkFiles(**measured, refused=reason)
    inputs, _ = data.random(CALIBRATION)
    _normalize(network, inputs)
    content = _converted(network, inputs, settings.embed.format)
    measured["integer_bytes"] = with_card(content, CARD_BYTES)
    if not declared("inputs", data.kind)["EMBEDDED"]:
        noun = declared("inputs", data.kind)["NOUN"]
        return NetworkFiles(**measured, refused=f"targets without Python take no {noun}")
    try:
        translated = _integer_c.translate(content, settings.embed.format)
        measured["c_flash_bytes"] = translated.constant_bytes
        measured["c_arena_bytes"] = translated.arena_bytes
        measured |= _micro(content)
    except (UserError, OSError) as error:
        measured["refused"] = str(error)
    return NetworkFiles(**measured)


def with_card(content: bytes, card_bytes: int) -> int:
    """The bytes of a TensorFlow Lite file with a description of `card_bytes`."""
    with imports.keras_import():
        from pipeline.formats import _metadata

    return len(_metadata.embed(content, ".tflite", bytes(card_bytes)))


def _normalize(network: Any, inputs: Array) -> None:
    """Gives batch normalization the statistics of these inputs, as training does.

    With those of fresh weights, the values of a deep network shrink until no scale of int8 holds
    them. Biases are no longer zero, since the converter leaves out those that are.
    """
    for weight in network.trainable_weights:
        if not np.any(weight.numpy()):
            weight.assign(np.random.default_rng(0).normal(0, BIAS, weight.shape))
    layers = [layer for layer in network.layers if hasattr(layer, "moving_mean")]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    with warnings.catch_warnings():  # some networks have a list of one input, some the input
        warnings.filterwarnings("ignore", "The structure of `inputs`")
        network(inputs.astype(network.inputs[0].dtype), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _converted(network: Any, inputs: Array, export_format: str) -> bytes:
    module = importlib.import_module(f"pipeline.formats.{export_format}")
    with imports.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bytes(module.convert(network, inputs))


def _micro(content: bytes) -> dict[str, int]:
    """What TensorFlow Lite Micro needs. Raises UserError or OSError."""
    if not (environments.FOLDER / environments.EMBEDDED).exists():
        environments.python(environments.EMBEDDED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        fit = microcontroller.board_fit(path)
    network = tflite.Model.GetRootAsModel(content, 0)
    arena, esp32_arena = microcontroller.with_margins(fit.arena, network)
    return {
        "multiply_accumulates": fit.macs,
        "micro_flash_bytes": fit.flash + CARD_BYTES,
        "micro_arena_bytes": arena,
        "micro_arena_bytes_esp32": esp32_arena,
    }
