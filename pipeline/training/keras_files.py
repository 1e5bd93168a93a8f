"""Keras models as files whose bytes depend on params and data alone."""

from __future__ import annotations

import json
import math
import re
import zipfile
from pathlib import Path

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.atomic import replacing
from pipeline.process.errors import UserError
from pipeline.process.imports import keras_import

with keras_import():
    import keras

    # registers MultiHot with Keras, so that a model that contains it can be loaded
    import pipeline.training.layers  # noqa: F401

BATCH = 1000  # images without a gradient, if they are small
SMALL = 4096  # numbers
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can have


def make_deterministic() -> None:
    """Makes TensorFlow's sums independent of the order in which threads end, as JAX's are."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def save(path: Path, model: keras.Model) -> None:
    """Writes `model` to `path` (.keras) without Keras's timestamps and memory addresses."""
    with replacing(path) as temporary:
        dated = temporary.with_name(temporary.name + ".keras")
        try:
            model.save(dated)
            _undate(dated, temporary)
        finally:
            dated.unlink(missing_ok=True)


def _undate(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as dated, zipfile.ZipFile(target, "w") as undated:
        for name in sorted(dated.namelist()):
            data = dated.read(name)
            if name == "metadata.json":
                metadata = json.loads(data)
                del metadata["date_saved"]
                data = json.dumps(metadata).encode()
            if name == "config.json":
                data = _renumber(data.decode()).encode()
            undated.writestr(zipfile.ZipInfo(name, EPOCH), data)


def _renumber(config: str) -> str:
    """Keras identifies shared objects by memory address; this numbers them 0, 1, ... instead."""
    numbers: dict[str, int] = {}

    def number(address: re.Match[str]) -> str:
        return str(numbers.setdefault(address[0], len(numbers)))

    return re.sub(r'(?<="shared_object_id": )\d+', number, config)


def batch_size(shape: tuple[int, ...]) -> int:
    """How many inputs (...) of `shape` are computed at a time: fewer, the larger they are.

    The maps of a backbone take about 100 bytes for each number of the input, so a batch needs at
    most half a gigabyte.
    """
    size = math.prod(shape)
    if size <= SMALL:
        return BATCH
    return max(8, 2 ** int(math.log2(BATCH * SMALL / size)))


def probabilities(model: keras.Model, inputs: Array) -> Array:
    """The probabilities (N, K) float32 that `model` gives for inputs (N, ...).

    Keras's `predict` builds a tf.data pipeline, which may end seconds after its last batch (see
    `Batches`), so batches are predicted one by one.
    """
    size = batch_size(inputs.shape[1:])
    starts = range(0, len(inputs), size)
    return np.concatenate(
        [model.predict_on_batch(inputs[start : start + size]) for start in starts]
    )


def load(path: Path) -> keras.Model:
    """The model in `path`, without optimizer and loss.

    Raises UserError for a file that Keras cannot read.
    """
    try:
        model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file can make Keras raise anything
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is not a readable Keras model ({reason}); run `dvc repro train`"
        ) from None
    return model
