"""ONNX with int8 weights and uint8 activations, by ONNX Runtime's static quantization.

It is calibrated on the training set. Weights range from -64 to 64, with a scale for each output
channel. They use seven bits, because some kernels of MLAS (ONNX Runtime 1.31) do not add products
exactly:

- On x86-64 without VNNI (AVX2, AVX-512; on Windows also SSE4.1) two products of uint8 and int8 are
  added in 16 bits (`vpmaddubsw`), which saturate. With these weights they cannot: 2 * 255 * 64 is
  32,640, and 16 bits hold 32,767. Weights of 65 do saturate, and with 127 half of the sum is lost.
- On Arm without dot products two products of int8 and int8 are added in 16 bits (`smull`, `smlal`),
  which wrap around if all four factors are -128. With these weights they cannot: 2 * 128 * 64 is
  16,384.
- VNNI, AMX, SSE2 and Arm's dot products add in 32 bits.

The table compares all variants on MNIST (10,000 images) and, with another model, on 2,000 digits in
black on white: images lost and gained against Keras with VNNI, and images whose class changes
without VNNI.

| activations, weights     | scale of  | bytes  | MNIST      | black on white | VNNI   | AVX2   |
| ------------------------ | --------- | -----: | ---------: | -------------: | -----: | -----: |
| uint8, int8 to 64        | a channel | 56,655 | 1, 1,   0  |    2, 0,    0  | 100 us |  96 us |
| uint8, int8 to 64        | a tensor  | 54,317 | 3, 0,   0  |    0, 4,    0  |  99 us |  96 us |
| uint8, uint8             | a channel | 56,827 | 1, 1,   0  |    1, 2,    0  | 113 us | 107 us |
| uint8, uint8             | a tensor  | 54,321 | 1, 1,   0  |    4, 0,    0  | 113 us | 108 us |
| uint8, int8 to 127       | a channel | 56,655 | 0, 1,  15  |    1, 1,  965  | 100 us |  97 us |
| int8, int8 to 127        | a channel | 56,736 | 0, 1,  15  |    1, 1,  965  | 112 us | 103 us |
| int8 symmetric, to 127   | a channel | 57,408 | 1, 1, 207  |    4, 0, 1773  |      - |      - |
| int8, int8 to 64         | a channel | 56,736 | 1, 1,   0  |    2, 0,    0  | 110 us | 107 us |
| int8 symmetric, to 64    | a channel | 57,408 | 0, 1,   0  |    3, 0,    0  | 108 us | 105 us |

The quantizer rejects int8 activations with uint8 weights. If no image changes its class, no bit of
a probability changes either, with AVX2 alone and with AVX-512 (natively, with the other features
hidden from the process). The first variant, which is used here, also gives the same bits on
Nehalem, Haswell, Cortex-A53, A72 and A76 (200 images in QEMU). Times are the median CPU time of
single images on an Intel Xeon, with the variants alternating; none were measured on Arm, as an
emulator says nothing about them. So this is the fastest safe variant on x86-64, and its seven bits
lose no more images than eight.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.formats import _onnx, onnx_float32

SUFFIX = ".onnx"
# The operators that stay in float, by the type of the raw input: see `tflite_int8`.
IN_FLOAT = {"float32": ("Mul", "Add", "Sub", "Div")}


# Images that are calibrated on at a time, fewer of large ones: their activations are in memory.
BATCH, BATCH_BYTES = 50, 2**20


class CalibrationBatches(CalibrationDataReader):
    def __init__(self, images: Array) -> None:
        batch = max(1, min(BATCH, BATCH_BYTES // artifacts.row_bytes(images)))
        starts = range(0, len(images), batch)
        self.batches = iter([{"image": images[start : start + batch]} for start in starts])

    def get_next(self) -> Any:
        return next(self.batches, None)


def convert(model: keras.Model, calibration: Array) -> bytes:
    return quantized(model, calibration, reduce_range=True)


def quantized(model: keras.Model, calibration: Array, reduce_range: bool) -> bytes:
    """The file; without `reduce_range`, weights have eight bits and processors disagree."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steps = ("float32", "prepared", "int8")
        float32, prepared, int8 = (folder / f"{step}.onnx" for step in steps)
        onnx.save(onnx_float32.to_onnx(model, calibration.dtype), float32)
        quant_pre_process(float32, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            int8,
            CalibrationBatches(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=reduce_range,
            nodes_to_exclude=[
                node.name
                for node in onnx.load(prepared).graph.node
                if node.op_type in IN_FLOAT.get(calibration.dtype.name, ())
            ],
        )
        result = onnx.load(int8)
    return _onnx.canonical(result).SerializeToString(deterministic=True)
