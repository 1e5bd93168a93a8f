"""The rounding of an int8 file, simulated in the float32 file, for all layers or for all but one.

Weights and biases take the values that the int8 file has, and after each operator its result is
rounded to the scale that it has there, by QUANTIZE and DEQUANTIZE. So a layer can stay in float
with its weights and its result. In a file that computes in int8 it cannot: the result of a layer
in float is rounded again for the next one, with a scale that may be what is wrong with it.

Sums are of float numbers here, so integer kernels round some values to the next step. How near a
simulation comes to its file is measured wherever it is used.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from pipeline.files.artifacts import Array

INTEGERS = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,  # biases of int16 activations
}
TIE = 1e-3  # of a step
QUANTIZE, DEQUANTIZE = schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE


@dataclass(frozen=True)
class Rounding:
    """What int8 changes at an operator of the float32 file, by its number in the file.

    `results` are the tensors of the int8 file whose scale its results get, by the number of the
    result, and `weights` the values there of its constants, by the number of the buffer.
    """

    layer: str
    results: dict[int, Any]
    weights: dict[int, Array]


class SimulatedInt8:
    """Raises ValueError if the two files do not have the same operators."""

    def __init__(self, float32: bytes, int8: bytes) -> None:
        self.model = _opened(float32)
        self.roundings = _roundings(self.model, _opened(int8))

    @property
    def layers(self) -> list[str]:
        """Those that lose anything to int8, in their order."""
        return list(dict.fromkeys(rounding.layer for rounding in self.roundings.values()))

    def file(self, in_float: str | None = None) -> bytes:
        """A TensorFlow Lite file in which all layers round, except this one."""
        model = copy.deepcopy(self.model)
        graph = model.subgraphs[0]
        codes = {code: _code(model, code) for code in (QUANTIZE, DEQUANTIZE)}
        operators: list[Any] = []
        renamed: dict[int, int] = {}
        for number, operator in enumerate(graph.operators):
            operator.inputs = _numbers(renamed.get(index, index) for index in operator.inputs)
            operators.append(operator)
            rounding = self.roundings.get(number)
            if rounding is None or rounding.layer == in_float:
                continue
            for buffer, values in rounding.weights.items():
                model.buffers[buffer].data = np.frombuffer(values.tobytes(), np.uint8)
            for index, tensor in rounding.results.items():
                integers = _added(graph, graph.tensors[index], tensor)
                real = _added(graph, graph.tensors[index])
                operators.append(_operator(codes[QUANTIZE], index, integers))
                operators.append(_operator(codes[DEQUANTIZE], integers, real))
                renamed[index] = real
        graph.operators = operators
        graph.outputs = _numbers(renamed.get(index, index) for index in graph.outputs)
        for signature in model.signatureDefs or ():
            for output in signature.outputs:
                output.tensorIndex = renamed.get(output.tensorIndex, output.tensorIndex)
        return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def layer_name(tensor: str) -> str:
    """The Keras layer of a tensor: `conv2d` of `edge_1/conv2d_1/Relu;edge_1/bn_1/sub`.

    The number at the end is one that the export adds. A layer of a model in the model has the names
    of both.
    """
    parts = tensor.split(";", maxsplit=1)[0].split("/")[1:-1]
    return "/".join(re.sub(r"_\d+$", "", part) for part in parts) or "output"


def _opened(data: bytes) -> Any:
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(data))


def _roundings(float32: Any, int8: Any) -> dict[int, Rounding]:
    """What int8 changes, by the number of the operator."""
    graph, written = float32.subgraphs[0], _written(int8)
    layers: dict[int, str] = {}  # that write a tensor, by its number
    grids: dict[int, Any] = {}  # the tensor of the int8 file that it is rounded to
    roundings = {}
    for number, operator in enumerate(graph.operators):
        name = graph.tensors[operator.outputs[0]].name
        if name not in written:
            continue
        weights = dict(_weights(float32, operator, int8, written[name][0]))
        pairs = [(index, written.get(graph.tensors[index].name)) for index in operator.outputs]
        results = {index: pair[1] for index, pair in pairs if pair and _is_quantized(pair[1])}
        layer = layer_name(name.decode())
        sources = [index for index in operator.inputs if index in grids]
        if not weights and len(sources) == 1:
            before = grids[sources[0]]
            if all(_is_same_grid(tensor, before) for tensor in results.values()):
                layer = layers[sources[0]]  # such as before a maximum, which rounds nothing itself
        layers |= dict.fromkeys(results, layer)
        grids |= results
        if weights or results:
            roundings[number] = Rounding(layer, results, weights)
    return roundings


def _written(int8: Any) -> dict[bytes, tuple[Any, Any]]:
    """The operator that computes a tensor, and the tensor with its scale, by name.

    The result of DEQUANTIZE has the name of the float32 file, and its source the scale.
    """
    graph = int8.subgraphs[0]
    by_index = {index: operator for operator in graph.operators for index in operator.outputs}
    result = {}
    for index, operator in by_index.items():
        source = index
        if _builtin(int8, operator) == DEQUANTIZE and operator.inputs[0] in by_index:
            source = operator.inputs[0]
        result[graph.tensors[index].name] = by_index[source], graph.tensors[source]
    return result


def _weights(float32: Any, operator: Any, int8: Any, other: Any) -> Iterator[tuple[int, Array]]:
    """The real values that the int8 file has for the float constants of an operator."""
    if (_builtin(float32, operator), len(operator.inputs)) != (
        _builtin(int8, other),
        len(other.inputs),
    ):
        raise ValueError("the files have other operators")
    tensors, others = float32.subgraphs[0].tensors, int8.subgraphs[0].tensors
    for place, index in enumerate(operator.inputs):
        tensor = tensors[index]
        if index < 0 or tensor.type != schema.TensorType.FLOAT32 or not _has_data(float32, tensor):
            continue
        constant = others[other.inputs[place]]
        if list(tensor.shape) != list(constant.shape):
            raise ValueError("the files have other weights")
        if _is_quantized(constant):
            yield tensor.buffer, _real(int8, constant) + _nudge(int8, other)


def _nudge(int8: Any, operator: Any) -> float:
    """What makes halves round up, as integer kernels do; QUANTIZE rounds them to an even number.

    All pixels that are scaled to -1 to 1 are halves: 0 has no place among the 256 steps.
    """
    result = int8.subgraphs[0].tensors[operator.outputs[0]]
    is_sum = _builtin(int8, operator) == schema.BuiltinOperator.ADD
    return TIE * result.quantization.scale[0] if is_sum and _is_quantized(result) else 0.0


def _has_data(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _real(model: Any, tensor: Any) -> Array:
    if tensor.type not in INTEGERS:
        raise ValueError("weights are neither int8 nor int32")
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    values = data.view(INTEGERS[tensor.type]).reshape(tensor.shape).astype(np.float64)
    scales = np.asarray(tensor.quantization.scale, np.float64)
    offsets = np.asarray(tensor.quantization.zeroPoint)
    if len(scales) > 1:
        form = np.ones(len(tensor.shape), int)
        form[tensor.quantization.quantizedDimension] = -1
        scales, offsets = scales.reshape(form), offsets.reshape(form)
    return np.asarray((values - offsets) * scales, np.float32)


def _is_quantized(tensor: Any) -> bool:
    quantization = tensor.quantization
    return quantization is not None and quantization.scale is not None


def _is_same_grid(first: Any, second: Any) -> bool:
    return all(
        np.array_equal(getattr(first.quantization, name), getattr(second.quantization, name))
        for name in ("scale", "zeroPoint")
    )


def _builtin(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def _code(model: Any, builtin: int) -> int:
    """The number of a new operator code."""
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _added(graph: Any, like: Any, of_int8: Any = None) -> int:
    """The number of a new tensor of the same shape, with the type and scale of another file's."""
    tensor = copy.copy(like)
    tensor.name, tensor.buffer = b"", 0
    if of_int8 is not None:
        tensor.type, tensor.quantization = of_int8.type, of_int8.quantization
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _operator(code: int, source: int, result: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs, operator.outputs = _numbers([source]), _numbers([result])
    return operator


def _numbers(values: Iterable[int]) -> Array:
    return np.array(list(values), np.int32)
