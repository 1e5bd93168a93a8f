"""TensorFlow Lite with int8 weights and float32 activations (dynamic range): a quarter of the bytes, no calibration."""

from __future__ import annotations

import keras
import tensorflow as tf

from pipeline.artifacts import Array
from pipeline.formats import _tflite

SUFFIX = ".tflite"


def convert(model: keras.Model, calibration: Array) -> bytes:
    with _tflite.converter(model) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # per-channel weights would need FULLY_CONNECTED version 12, which tflite-runtime 2.14 does not know (tensorflow #80736)
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return bytes(converter.convert())
