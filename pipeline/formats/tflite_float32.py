"""TensorFlow Lite, float32: the reference among the device files.

Kernels add in different orders, which moves a probability by less than 1e-6 and changed no class
of 1,000 MNIST images (200 where a processor is emulated), all 0, all 255 and noise: LiteRT with
XNNPACK (the same bits with AVX-512, with AVX2 and on Haswell; 2.4e-7 on Nehalem, Cortex-A53, A72
and A76), without XNNPACK and with the reference kernels 7.9e-7, tflite-runtime 2.4e-7.
TensorFlow Lite Micro does not run the file, whose input is a uint8 that it cannot cast.
"""

from __future__ import annotations

import keras

from pipeline.files.artifacts import Array
from pipeline.formats import _tflite

SUFFIX = ".tflite"


def convert(model: keras.Model, calibration: Array) -> bytes:
    with _tflite.converter(model) as converter:
        return bytes(converter.convert())
