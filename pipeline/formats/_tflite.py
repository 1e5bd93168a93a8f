"""What the four TensorFlow Lite formats share: a SavedModel with a fixed batch of 1, and the converter on it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from pipeline.files.artifacts import Array
from pipeline.formats import _calibration


@contextmanager
def converter(model: keras.Model, dtype: str = "uint8") -> Iterator[Any]:
    """A TFLiteConverter on `model` with the input `image` of `dtype` (1, H, W, C), or ids (1, L), and the output `probabilities`.

    It converts from a SavedModel, because from a concrete function the variables of a Keras 3 model stay unfrozen and a
    full-integer calibration fails.
    """
    signature = [
        tf.TensorSpec(
            (1, *model.input_shape[1:]),
            "int32" if _calibration.takes_ids(model) else dtype,
            name="image",
        )
    ]
    archive = keras.export.ExportArchive()
    archive.track(model)

    def serve(image: Any) -> dict[str, Any]:
        return {"probabilities": model(tf.cast(image, model.inputs[0].dtype), training=False)}

    archive.add_endpoint("serve", serve, input_signature=signature)
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        yield tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serve"])


def representative(calibration: Array, model: keras.Model) -> Any:
    """The calibration images as the converter asks for them, one by one; or the ids."""
    images = _calibration.whole_range(calibration, model)

    def samples() -> Iterator[dict[str, Array]]:
        for image in images:
            yield {"image": image[None].astype(model.inputs[0].dtype)}

    return samples
