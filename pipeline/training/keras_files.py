"""Keras models as files whose bytes depend on params and data alone."""

from __future__ import annotations

import json
import re
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.atomic import replacing
from pipeline.process.errors import UserError
from pipeline.process.imports import keras_import

with keras_import():
    import keras

    # registers MultiHot with Keras, so that a model that contains it can be loaded
    import pipeline.training.layers  # noqa: F401

BATCH, BATCH_BYTES = 1000, 2**22  # inputs that are predicted together, fewer of large images
RANGES = "int8_ranges.json"  # in the archive
Ranges = dict[str, tuple[float, float]]  # lowest and highest value by the name of a layer
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
            if int8_ranges := ranges(model):
                with zipfile.ZipFile(dated, "a") as archive:
                    archive.writestr(RANGES, json.dumps(int8_ranges, sort_keys=True))
            _undate(dated, temporary)
        finally:
            dated.unlink(missing_ok=True)


def set_ranges(model: keras.Model, trained: Ranges) -> None:
    """Keeps with the model the ranges that its int8 file must have; Keras itself ignores them."""
    vars(model)["int8_ranges"] = trained


def ranges(model: keras.Model) -> Ranges:
    """The trained ranges by the name of a layer; none if it was not trained for int8."""
    result: Ranges = vars(model).get("int8_ranges", {})
    return result


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


def probabilities(model: keras.Model, inputs: Array) -> Array:
    """The probabilities (N, K) float32 that `model` gives for inputs (N, ...).

    Keras's `predict` builds a tf.data pipeline, which may end seconds after its last batch (see
    `Batches`), so batches are predicted one by one.
    """
    size = batch_size(inputs)
    starts = range(0, len(inputs), size)
    return np.concatenate(
        [model.predict_on_batch(inputs[start : start + size]) for start in starts]
    )


def batch_size(inputs: Array) -> int:
    """How many of these inputs are predicted at a time."""
    return max(1, min(BATCH, BATCH_BYTES // artifacts.row_bytes(inputs)))


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
    with zipfile.ZipFile(path) if zipfile.is_zipfile(path) else nullcontext() as archive:
        if archive and RANGES in archive.namelist():
            set_ranges(model, json.loads(archive.read(RANGES)))
    return model
