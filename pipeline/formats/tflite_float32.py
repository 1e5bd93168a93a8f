"""TensorFlow Lite, float32: the reference among the device files."""

from __future__ import annotations

import keras

from pipeline.artifacts import Array
from pipeline.formats import _tflite

SUFFIX = ".tflite"


def convert(model: keras.Model, calibration: Array) -> bytes:
    with _tflite.converter(model) as converter:
        return bytes(converter.convert())
