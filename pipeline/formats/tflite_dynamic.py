"""TensorFlow Lite with int8 weights and float32 activations (dynamic range quantization).

It has a quarter of the bytes and needs no calibration. On the images, runtimes and processors
listed in `tflite_float32`, no class changes and probabilities differ by less than 3e-6, except on
tflite-runtime with AVX2 and above: by 3e-5 on 1,000 images and 7e-4 on 10,000. Activations are
quantized at run time, so the last bit of a float can change how they round. From Keras they differ
by 0.036.

tflite-runtime 2.14 returns all 0 from a convolution whose channels all have the same scale, such as
one with only the weights 1 and -1. Training does not produce such weights, and verification would
detect them.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from pipeline.files.artifacts import Array
from pipeline.formats import _tflite

SUFFIX = ".tflite"


def convert(model: keras.Model, calibration: Array) -> bytes:
    with _tflite.converter(model, calibration.dtype) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # per-channel weights would need FULLY_CONNECTED version 12, which tflite-runtime 2.14 lacks
        # (tensorflow #80736)
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return bytes(converter.convert())
