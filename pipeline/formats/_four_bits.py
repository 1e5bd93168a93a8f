"""Weights of an int8 file, rounded to four bits so that the outputs of each layer change least.

The inputs of a layer are measured on calibration examples. Its weights are rounded one after the
other; the error of each is made up for by those that are not rounded yet, as far as their inputs
are correlated (GPTQ: Frantar et al., 2022, arXiv 2210.17323). A shift of the bias takes back what
is left in the mean. Layers are rounded from the first to the last, so that each sees the rounded
ones before it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from pipeline.files.artifacts import Array
from pipeline.runtimes import four_bits, inner_tensors

LARGEST = 7  # of a weight, in both directions
EXAMPLES, WINDOWS = 200, 64  # that a layer is measured on: examples, and random windows of each
# More inputs of a unit than this are rounded each by itself: their correlations take too long.
MOST_CORRELATED = 4096
DAMPING = 0.01  # of the mean square of the inputs, added to that of each, as in the paper
LIMITS = np.linspace(0.5, 1, 26)  # shares of the largest weight that are tried as the new largest
# Operators with INT4 weights have these versions (tensorflow/lite/tools/versioning/op_version.cc),
# which need this runtime (runtime_version.cc beside it).
VERSIONS = {schema.BuiltinOperator.CONV_2D: 7, schema.BuiltinOperator.FULLY_CONNECTED: 10}
OLDEST_RUNTIME = "2.11.0"
MINIMUM_VERSION = b"min_runtime_version"


@dataclass(frozen=True)
class Layer:
    """An operator of a model with its weights (outputs, inputs of each) and their scales."""

    model: Any
    operator: Any

    @property
    def tensors(self) -> Any:
        return self.model.subgraphs[0].tensors

    @property
    def source(self) -> Any:
        return self.tensors[self.operator.inputs[0]]

    @property
    def kernel(self) -> Any:
        return self.tensors[self.operator.inputs[1]]

    @property
    def biases(self) -> list[Any]:
        """The tensor of the biases, if there is one."""
        return [self.tensors[index] for index in self.operator.inputs[2:] if index >= 0]

    def values(self, tensor: Any, dtype: Any) -> Array:
        data = self.model.buffers[tensor.buffer].data  # None unless they are constant
        return np.frombuffer(b"" if data is None else bytes(data), dtype)

    def weights(self) -> Array:
        """The real weights, float64."""
        filters = self.kernel.shape[0]
        stored = self.values(self.kernel, np.int8).reshape(filters, -1).astype(np.float64)
        return stored * np.reshape(self.kernel.quantization.scale, (-1, 1))

    def store(self, tensor: Any, values: Array) -> None:
        """Gives a tensor its values in a buffer of its own."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.buffer = len(self.model.buffers) - 1


def rounded(data: bytes, calibration: Array) -> bytes:
    """The int8 file with weights of four bits; `calibration` holds raw inputs (N, ...)."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    examples = calibration[:: max(1, len(calibration) // EXAMPLES)][:EXAMPLES]
    layers = [layer for layer in _layers(model) if _takes_four_bits(layer)]
    for layer in layers:
        _round(layer, _inputs(layer, examples))
    for layer in layers:
        _pack(layer)
    if layers:
        _need_runtime(model)
    _drop_unused_buffers(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _layers(model: Any) -> list[Layer]:
    """The operators that may have INT4 weights and share no constant with another."""
    operators = model.subgraphs[0].operators
    uses = Counter(index for operator in operators for index in operator.inputs)
    return [
        Layer(model, operator)
        for operator in operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode in VERSIONS
        and all(uses[index] == 1 for index in operator.inputs[1:] if index >= 0)
    ]


def _takes_four_bits(layer: Layer) -> bool:
    """Whether a layer computes in int8 with constant weights that all runtimes take in four bits.

    TensorFlow Lite Micro takes those of a dense layer with one scale for all. Convolutions in
    groups of channels are left alone.
    """
    types = layer.source.type, layer.kernel.type
    if types != (schema.TensorType.INT8,) * 2 or not len(layer.values(layer.kernel, np.int8)):
        return False
    if len(layer.kernel.shape) == 2:
        return len(layer.kernel.quantization.scale) == 1
    return bool(layer.kernel.shape[3] == layer.source.shape[3])


def _inputs(layer: Layer, examples: Array) -> Array:
    """Inputs (N, I) of a layer, as differences from their zero point, in units of their scale."""
    index = layer.operator.inputs[0]
    data = bytes(flatbuffer_utils.convert_object_to_bytearray(layer.model))
    zero_point = int(layer.source.quantization.zeroPoint[0])
    random = np.random.default_rng(0)
    rows = []
    for values in inner_tensors.read(data, [index], examples):
        centred = values[index].astype(np.float32) - zero_point
        if len(layer.kernel.shape) == 2:
            rows.append(centred.reshape(-1, layer.kernel.shape[1]))
        else:
            rows.append(_windows(layer, centred[0], random))
    return np.concatenate(rows)


def _windows(layer: Layer, values: Array, random: np.random.Generator) -> Array:
    """Random windows (N, height * width * channels) of a map (H, W, C) that a filter moves over."""
    _, height, width, channels = layer.kernel.shape
    options = layer.operator.builtinOptions
    output = layer.tensors[layer.operator.outputs[0]].shape[1:3]
    places = random.permutation(int(np.prod(output)))[:WINDOWS]
    axes = []
    for position, size, length, stride, dilation, positions in zip(
        np.unravel_index(places, output),
        values.shape[:2],
        (height, width),
        (options.strideH, options.strideW),
        (options.dilationHFactor, options.dilationWFactor),
        output,
        strict=True,
    ):
        covered = (positions - 1) * stride + (length - 1) * dilation + 1
        before = max(0, covered - size) // 2 if options.padding == schema.Padding.SAME else 0
        axes.append(position[:, None] * stride + np.arange(length) * dilation - before)
    rows, columns = axes
    inside = ((rows >= 0) & (rows < values.shape[0]))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < values.shape[1]))[:, None, :]
    rows, columns = rows.clip(0, values.shape[0] - 1), columns.clip(0, values.shape[1] - 1)
    windows = values[rows[:, :, None], columns[:, None, :]] * inside[..., None]
    return windows.reshape(len(places), height * width * channels)


def _round(layer: Layer, inputs: Array) -> None:
    """Rounds the weights of a layer, still one to a byte, and corrects its biases."""
    weights, correlated = layer.weights(), inputs.shape[1] <= MOST_CORRELATED
    squares = np.square(inputs).mean(0, np.float64)
    scales = _scales(weights, squares, np.asarray(layer.kernel.quantization.scale))
    if correlated:
        integers = _compensated(weights / scales, inputs.T @ inputs / len(inputs))
    else:
        integers = _nearest(weights / scales)
    layer.store(layer.kernel, integers.astype(np.int8))
    count = len(layer.kernel.quantization.scale)
    layer.kernel.quantization.scale = scales[:count, 0].astype(np.float32)
    shift = (weights - integers * scales) @ inputs.mean(0, np.float64)
    for bias in layer.biases:
        _rescale(layer, bias, scales[:, 0], shift)


def _rescale(layer: Layer, bias: Any, scales: Array, shift: Array) -> None:
    """Biases (outputs,) in units of the new scale, plus `shift`, in units of the input's scale."""
    step = float(layer.source.quantization.scale[0])
    stored = layer.values(bias, np.int32)
    real = stored * np.asarray(bias.quantization.scale, np.float64) + shift * step
    units = scales.astype(np.float32).astype(np.float64) * step
    limits = np.iinfo(np.int32)
    layer.store(bias, np.clip(np.round(real / units), limits.min, limits.max).astype(np.int32))
    count = len(bias.quantization.scale)
    bias.quantization.scale = units[:count].astype(np.float32)


def _scales(weights: Array, squares: Array, before: Array) -> Array:
    """The scale (outputs, 1) of each row of weights, or one for all, that loses least.

    `squares` (inputs,) says how much the error of a weight matters. `before` are the scales of
    int8, (outputs,) or (1,). Where all weights are zero they stand for a scale that the biases fit.
    """
    count = len(before)
    largest = np.maximum(np.abs(weights).max(1), LARGEST * before.astype(np.float64))[:, None]
    largest = largest if count > 1 else np.full_like(largest, largest.max())
    errors = []
    for limit in LIMITS:
        scales = largest * limit / LARGEST
        error = (np.square(_nearest(weights / scales) * scales - weights) * squares).sum(1)
        errors.append(error if count > 1 else np.full_like(error, error.sum()))
    return largest * LIMITS[np.argmin(errors, 0)][:, None] / LARGEST


def _nearest(weights: Array) -> Array:
    return np.clip(np.round(weights), -LARGEST, LARGEST)


def _compensated(weights: Array, correlations: Array) -> Array:
    """Weights (outputs, inputs) as integers; those of the largest inputs are rounded first.

    `correlations` (inputs, inputs) is the mean of the products of two inputs.
    """
    count = len(correlations)
    order = np.argsort(-np.diag(correlations), kind="stable")
    damped = correlations[order][:, order].astype(np.float64)
    damped += np.eye(count) * (DAMPING * np.trace(damped) / count + 1e-9)
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    left, result = weights[:, order].copy(), np.empty_like(weights)
    for index in range(count):
        integers = _nearest(left[:, index])
        error = (left[:, index] - integers) / factor[index, index]
        left[:, index + 1 :] -= error[:, None] * factor[index, index + 1 :]
        result[:, order[index]] = integers
    return result


def _pack(layer: Layer) -> None:
    """Stores the weights two in a byte."""
    layer.store(layer.kernel, four_bits.packed(layer.values(layer.kernel, np.int8)))
    layer.kernel.type = schema.TensorType.INT4
    code = layer.model.operatorCodes[layer.operator.opcodeIndex]
    code.version = max(code.version, VERSIONS[code.builtinCode])


def _need_runtime(model: Any) -> None:
    """Records the oldest runtime that reads the file, which the converter has written for int8."""
    for entry in model.metadata or []:
        if entry.name == MINIMUM_VERSION:
            buffer = model.buffers[entry.buffer]
            stored = bytes(buffer.data).rstrip(b"\0").decode()
            newest = max(stored, OLDEST_RUNTIME, key=_numbers)
            data = newest.encode().ljust(len(buffer.data), b"\0")
            buffer.data = np.frombuffer(data, np.uint8)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _drop_unused_buffers(model: Any) -> None:
    """Empties buffers that nothing refers to any more."""
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or []}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None
