"""ONNX with int8 weights and activations: ONNX Runtime's static quantization, calibrated on p-training.

Activations are uint8 and weights int8 from -64 to 64, one scale for each output channel. The weights
leave out a bit, because ONNX Runtime multiplies such pairs by `vpmaddubsw` on x86-64 processors without
VNNI (AVX2 and AVX-512; on Windows also SSE4.1). That adds two products in 16 bits and saturates. With
these weights it cannot: 2 * 255 * 64 = 32,640, and 16 bits hold 32,767.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from pipeline.artifacts import Array
from pipeline.formats import _onnx, onnx_float32

SUFFIX = ".onnx"


class Calibration(CalibrationDataReader):
    def __init__(self, images: Array, batch: int = 50) -> None:
        self.batches = iter([{"image": images[start : start + batch]} for start in range(0, len(images), batch)])

    def get_next(self) -> Any:
        return next(self.batches, None)


def convert(model: keras.Model, calibration: Array) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(onnx_float32.to_onnx(model), folder / "float32.onnx")
        quant_pre_process(folder / "float32.onnx", folder / "prepared.onnx", skip_symbolic_shape=True)
        quantize_static(
            folder / "prepared.onnx",
            folder / "int8.onnx",
            Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
        )
        quantized = onnx.load(folder / "int8.onnx")
    return _onnx.canonical(quantized).SerializeToString(deterministic=True)
