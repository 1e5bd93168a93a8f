"""TensorFlow Lite, full integer: every operation in int8, for microcontrollers and integer accelerators.

No sum of products saturates: with all weights 127 or -127 and all pixels 255, a convolution and a
dense layer come out within 0.2 % of Keras on LiteRT and tflite-runtime, with VNNI, with AVX-512,
with AVX2, on Nehalem, Cortex-A72 and A76. But kernels round differently where they scale sums down
to int8, which moves a probability by up to 11 steps of 1/256. From LiteRT with XNNPACK, 10,000
MNIST images differ on tflite-runtime and TensorFlow Lite Micro by up to 0.043, ten of them by more
than 0.02, and none gets another class; 1,000 do by as much on LiteRT's reference kernels and
without XNNPACK. LiteRT gives the same bits with VNNI, with AVX-512, with AVX2 and on Nehalem, and
the same but for 1/256 on Cortex-A53, A72 and A76, with dot products or without (200 images).
tflite-runtime rounds on Nehalem as XNNPACK does, and elsewhere not. All 0, all 255 and noise differ
by at most 0.008. CMSIS-NN and ESP-NN could not be tried: no package index has their sources.

The input is the raw pixel itself (uint8, scale 1, zero point 0), or the raw id (int32); the probabilities leave as float32,
so that no caller has a scale to forget.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from pipeline.files.artifacts import Array
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
