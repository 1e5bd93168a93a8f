"""Keras models whose weights and bytes depend on params and data alone."""

from __future__ import annotations

import json
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

    import pipeline.training.layers  # noqa: F401  # registers its layer with Keras, so that a model that has it can be read

BATCH = 1000
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can have


def make_deterministic() -> None:
    """Lets no operation add in the order in which threads happen to end. JAX does so by itself."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def save(path: Path, model: keras.Model) -> None:
    """Writes `model` to `path` (.keras) without the dates and memory addresses that Keras puts in."""
    with replacing(path) as temporary:
        dated = temporary.with_name(temporary.name + ".keras")
        try:
            model.save(dated)
            _undate(dated, temporary)
        finally:
            dated.unlink(missing_ok=True)


def _undate(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as dated, zipfile.ZipFile(target, "w") as plain:
        for name in sorted(dated.namelist()):
            data = dated.read(name)
            if name == "metadata.json":
                metadata = json.loads(data)
                del metadata["date_saved"]
                data = json.dumps(metadata).encode()
            if name == "config.json":
                data = _renumber(data.decode()).encode()
            plain.writestr(zipfile.ZipInfo(name, EPOCH), data)


def _renumber(config: str) -> str:
    """Keras marks objects that layers share by their memory address; here they are counted."""
    numbers: dict[str, int] = {}
    return re.sub(
        r'(?<="shared_object_id": )\d+',
        lambda found: str(numbers.setdefault(found[0], len(numbers))),
        config,
    )


def probabilities(model: keras.Model, inputs: Array) -> Array:
    """What `model` says of inputs (N, ...): (N, K) float32. Not by its `predict`, since that makes a tf.data pipeline, which may
    end seconds after its last batch, as `Batches` tells."""
    return np.concatenate(
        [
            model.predict_on_batch(inputs[start : start + BATCH])
            for start in range(0, len(inputs), BATCH)
        ]
    )


def load(path: Path) -> keras.Model:
    """The model in `path`, without anything of its training. Raises UserError for a file Keras cannot read."""
    try:
        model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # Keras raises anything on a damaged file
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is not a readable Keras model ({reason}); run `dvc repro train`"
        ) from None
    return model
