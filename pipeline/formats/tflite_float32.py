"""TensorFlow Lite, float32: the reference among the device files.

Kernels add in different orders, which changes a probability by less than 1e-6 and changed no class
of 1,000 MNIST images (200 on emulated processors), all 0, all 255 and noise. Differences from
LiteRT with XNNPACK:

- LiteRT with XNNPACK on other processors: the same bits with AVX-512, with AVX2 and on Haswell;
  2.4e-7 on Nehalem, Cortex-A53, A72 and A76
- LiteRT without XNNPACK and with the reference kernels: 7.9e-7
- tflite-runtime: 2.4e-7

TensorFlow Lite Micro cannot run the file, because it cannot cast its uint8 input.
"""

from __future__ import annotations

import keras

from pipeline.files.artifacts import Array
from pipeline.formats import _tflite

SUFFIX = ".tflite"


def convert(model: keras.Model, calibration: Array) -> bytes:
    with _tflite.converter(model, calibration.dtype) as converter:
        return bytes(converter.convert())
