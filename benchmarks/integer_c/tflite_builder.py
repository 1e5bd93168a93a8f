"""Writes TensorFlow Lite files tensor by tensor, for networks that no converter would make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.files.artifacts import Array
from pipeline.runtimes import four_bits

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int32": schema.TensorType.INT32,
    "uint8": schema.TensorType.UINT8,
    "int8": schema.TensorType.INT8,
    "int4": schema.TensorType.INT4,
}


@dataclass(frozen=True)
class Quantized:
    """A tensor of the file under construction."""

    index: int
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass
class Builder:
    """Collects tensors and operators; `finish` packs them into a file."""

    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    codes: list[int] = field(default_factory=list)

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        scales: Sequence[float] = (),
        zero_point: int = 0,
        axis: int = 0,
    ) -> Quantized:
        """A new tensor; `axis` is that of the scales, if there are several."""
        entry = schema.TensorT()
        entry.shape, entry.type, entry.name = list(shape), TYPES[dtype], f"t{len(self.tensors)}"
        if scales:
            entry.quantization = schema.QuantizationParametersT()
            entry.quantization.scale = [float(np.float32(scale)) for scale in scales]
            entry.quantization.zeroPoint = [zero_point] * len(scales)
            entry.quantization.quantizedDimension = axis
        self.tensors.append(entry)
        scale = float(np.float32(scales[0])) if scales else 0.0
        return Quantized(len(self.tensors) - 1, tuple(shape), dtype, scale, zero_point)

    def constant(
        self, values: Array, scales: Sequence[float] = (), zero_point: int = 0, axis: int = 0
    ) -> Quantized:
        return self.stored(
            self.tensor(values.shape, values.dtype.name, scales, zero_point, axis), values
        )

    def four_bits(self, values: Array, scales: Sequence[float], axis: int) -> Quantized:
        """A constant of int8 values from -8 to 7, two of them in a byte."""
        tensor = self.tensor(values.shape, "int4", scales, 0, axis)
        return self.stored(tensor, four_bits.packed(values.reshape(-1)))

    def stored(self, tensor: Quantized, values: Array) -> Quantized:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.buffers.append(buffer)
        self.tensors[tensor.index].buffer = len(self.buffers) - 1
        return tensor

    def operator(
        self,
        name: str,
        inputs: Sequence[Quantized],
        output: Quantized,
        **options: Any,
    ) -> Quantized:
        """Appends an operator such as CONV_2D, and returns its output."""
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        entry = schema.OperatorT()
        entry.opcodeIndex = self.codes.index(code)
        entry.inputs, entry.outputs = [tensor.index for tensor in inputs], [output.index]
        kind = options.pop("kind", None)
        if kind:
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            entry.builtinOptions = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                setattr(entry.builtinOptions, key, value)
        self.operators.append(entry)
        return output

    def finish(self, source: Quantized, output: Quantized) -> bytes:
        model, graph = schema.ModelT(), schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [source.index], [output.index]
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes = [self._code(code) for code in self.codes]
        packer = flatbuffers.Builder(1024)
        packer.Finish(model.Pack(packer), b"TFL3")
        return bytes(packer.Output())

    @staticmethod
    def _code(code: int) -> Any:
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
        return entry
