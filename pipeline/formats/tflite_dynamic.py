"""TensorFlow Lite with int8 weights and float32 activations (dynamic range): a quarter of the bytes, no calibration.

On the images, runtimes and processors that `tflite_float32` names, no class changes and
probabilities differ by less than 3e-6, but on tflite-runtime with AVX2 and more: by 3e-5 on 1,000
images and 7e-4 on 10,000. Activations are quantized on the way, where the last bit of a float can
move a rounding. From Keras they differ by 0.036.

tflite-runtime 2.14 answers all 0 from a convolution whose channels all have the same scale, such as
one with weights of 1 and -1 alone. Training does not give such weights, and verification tells.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from pipeline.files.artifacts import Array
from pipeline.formats import _tflite

SUFFIX = ".tflite"


def convert(model: keras.Model, calibration: Array) -> bytes:
    with _tflite.converter(model) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # per-channel weights would need FULLY_CONNECTED version 12, which tflite-runtime 2.14 does not know (tensorflow #80736)
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return bytes(converter.convert())
