"""TensorFlow Lite, full integer, with weights of four bits: half the bytes of `tflite_int8`.

Convolutions and dense layers keep two weights in a byte (INT4), from -7 to 7; all else is as in
`tflite_int8`: activations are int8, and so are depthwise convolutions, whose weights are few, and
convolutions in groups. LiteRT, tflite-runtime and TensorFlow Lite Micro read such files, all from
TensorFlow 2.11 on. On 1,000 MNIST images the last two gave the bytes that a file with the same
weights in int8 gives; LiteRT's kernels for four bits round otherwise, by 1/256 at most.

The weights are rounded so that the outputs of each layer change least: see `_four_bits`.
TensorFlow Lite Micro unpacks a layer's weights into its arena, which grows by those of the largest
layer; the integer C reads them as they are.
"""

from __future__ import annotations

import keras

from pipeline.files.artifacts import Array
from pipeline.formats import _four_bits, tflite_int8

SUFFIX = ".tflite"
MICRO = True


def convert(model: keras.Model, calibration: Array) -> bytes:
    return _four_bits.rounded(tflite_int8.convert(model, calibration), calibration)
