"""TensorFlow Lite, full integer: every operation in int8, for microcontrollers and integer accelerators.

The input is the raw pixel itself (uint8, scale 1, zero point 0), or the raw id (int32); the probabilities leave as float32,
so that no caller has a scale to forget.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from pipeline.artifacts import Array
from pipeline.formats import _calibration, _tflite

SUFFIX = ".tflite"


def convert(model: keras.Model, calibration: Array) -> bytes:
    with _tflite.converter(model, "float32") as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _tflite.representative(calibration, model)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if not _calibration.takes_ids(model):
            converter.inference_input_type = tf.uint8
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return bytes(converter.convert())
