"""Shared by the four TensorFlow Lite formats: a SavedModel with a batch of 1, and its converter."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from pipeline.files.artifacts import Array


@contextmanager
def converter(model: keras.Model, dtype: Any) -> Iterator[Any]:
    """A TFLiteConverter for `model`.

    The input `image` (1, ...) is of `dtype`; the output is `probabilities`. It converts a
    SavedModel, because with a concrete function the variables of a Keras 3 model stay unfrozen and
    a full-integer calibration fails.
    """
    signature = [tf.TensorSpec((1, *model.input_shape[1:]), dtype, name="image")]
    archive = keras.export.ExportArchive()
    archive.track(model)

    def serve(image: Any) -> dict[str, Any]:
        return {"probabilities": model(tf.cast(image, model.inputs[0].dtype), training=False)}

    archive.add_endpoint("serve", serve, input_signature=signature)
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        yield tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serve"])


def representative(calibration: Array, model: keras.Model) -> Any:
    """The converter's representative dataset: the calibration inputs one by one."""

    def samples() -> Iterator[dict[str, Array]]:
        for image in calibration:
            yield {"image": image[None].astype(model.inputs[0].dtype)}

    return samples
