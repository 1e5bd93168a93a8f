"""TensorFlow Lite, full integer: int8 operations for microcontrollers and integer accelerators.

No sum of products saturates: with all weights 127 or -127 and all pixels 255, a convolution and a
dense layer come out within 0.2 % of Keras on LiteRT and tflite-runtime, with VNNI, with AVX-512,
with AVX2, on Nehalem, Cortex-A72 and A76. But kernels round differently when they scale sums down
to int8, which changes a probability by up to 11 steps of 1/256. Differences from LiteRT with
XNNPACK:

- tflite-runtime and TensorFlow Lite Micro: up to 0.043 on 10,000 MNIST images, more than 0.02 on
  ten of them; no class changes
- LiteRT with its reference kernels and without XNNPACK: as much, on 1,000 images
- LiteRT with XNNPACK on other processors: the same bits with VNNI, with AVX-512, with AVX2 and on
  Nehalem; at most 1/256 on Cortex-A53, A72 and A76, with and without dot products (200 images)
- tflite-runtime rounds like XNNPACK on Nehalem, and differently elsewhere
- all 0, all 255 and noise: at most 0.008

CMSIS-NN gives the bytes of TensorFlow Lite Micro's reference kernels on an emulated Cortex-M3, M4
and M55 (`python -m benchmarks.cortex_m.cmsis_nn`), unless it is compiled to round once. So does the
portable C of ESP-NN (`python -m benchmarks.esp_nn`), but for convolutions of 1 x 1 in groups; its
vector instructions for an ESP32-S3 and P4 were not run.

Int16 activations with int8 weights (16x8) are no format of their own. `python -m
benchmarks.int16_activations` makes such files of `edge`:

- The converter refuses a uint8 input. With a CAST of the pixels before it TensorFlow Lite Micro
  refuses the file, and with two QUANTIZE operators tflite-runtime 2.14 does: no file with raw
  pixels runs on all three.
- XNNPACK has no kernels for it: on LiteRT an image takes 1.4 ms, and 0.02 ms as `tflite_int8` or
  as `tflite_dynamic`, whose probabilities are as near to float32 (4e-5 off on average; 16x8: 8e-5;
  int8: 4e-4).
- TensorFlow Lite Micro runs it as fast as int8 with 1.9 times the arena, and gives the same class.
  That is where it could help a network that loses as int8, and none such has been tried; the
  integer C has int8 alone.

The input is the raw pixel itself (uint8, scale 1, zero point 0), the raw id (int32) or the raw
measurement (float32); the output is float32, so no caller has to handle a scale.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from pipeline.files.artifacts import Array
from pipeline.formats import _bias_correction, _calibration, _trained_ranges
from pipeline.training import keras_files

SUFFIX = ".tflite"
MICRO = True
# The types of raw inputs that are quantized values already. Any other keeps its own type, whatever
# the default here says.
QUANTIZED = {"uint8": tf.uint8}
# The operators that stay in float, by the type of the raw input. Channels of measurements differ in
# scale, so they are normalized before they are quantized: of 1,266 windows of a motion sensor, 26
# changed from right to wrong or back with one scale for all raw channels, and 3 do with this.
IN_FLOAT = {"float32": ["MUL", "ADD", "SUB"]}


def convert(model: keras.Model, calibration: Array) -> bytes:
    kind = calibration.dtype.name
    calibrated = _calibration.calibrated(model, calibration)
    trained = keras_files.ranges(model)
    if trained:
        calibrated = _trained_ranges.assigned(calibrated, model, trained, calibration)
    quantized = _calibration.quantized(
        calibrated, QUANTIZED.get(kind, tf.float32), IN_FLOAT.get(kind, [])
    )
    # A training with rounding has shifted the biases itself.
    return quantized if trained else _bias_correction.corrected(quantized, calibrated, calibration)
