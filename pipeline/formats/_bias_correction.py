"""Biases that give each channel of an int8 file the mean that it has in float32.

Rounded weights shift the mean of a channel, most where few weights make one output, as in a
depthwise convolution, and the shifts add up from layer to layer. A shift of the bias takes them
back. The layers are corrected one after the other, so that each sees the corrected ones before it
(Nagel et al., 2019, arXiv 1906.04721, "empirical bias correction"). Only biases change: the file
has the same size and the same operators, and takes no more time.
"""

from __future__ import annotations

import numpy as np
import tflite

from pipeline.files.artifacts import Array
from pipeline.runtimes import inner_tensors

WEIGHTED = (
    tflite.BuiltinOperator.CONV_2D,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D,
    tflite.BuiltinOperator.FULLY_CONNECTED,
)
IMAGES = 16  # a mean over every position of a map needs few


def corrected(quantized: bytes, calibrated: bytes, calibration: Array) -> bytes:
    """The int8 file with shifted biases, if it has depthwise convolutions; else as it is."""
    data = bytearray(quantized)  # whose biases are changed in place
    model = tflite.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]
    codes = [model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode() for operator in operators]
    if tflite.BuiltinOperator.DEPTHWISE_CONV_2D not in codes:
        return quantized
    images = calibration[:: max(1, len(calibration) // IMAGES)][:IMAGES]
    expected = _float_means(calibrated, images)
    for operator, code in zip(operators, codes, strict=True):
        name = graph.Tensors(operator.Outputs(0)).Name()
        has_bias = code in WEIGHTED and operator.InputsLength() > 2 and operator.Inputs(2) >= 0
        if has_bias and name in expected:
            bias = graph.Tensors(operator.Inputs(2))
            shift = expected[name] - _mean(bytes(data), graph, operator.Outputs(0), images)
            values = model.Buffers(bias.Buffer()).DataAsNumpy().view(np.int32)
            values += np.round(shift / bias.Quantization().ScaleAsNumpy()).astype(np.int32)
    return bytes(data)


def _float_means(calibrated: bytes, images: Array) -> dict[bytes, Array]:
    """The mean of each channel of what each operator writes, by the tensor's name."""
    graph = tflite.Model.GetRootAsModel(calibrated, 0).Subgraphs(0)
    written = [graph.Operators(index).Outputs(0) for index in range(graph.OperatorsLength())]
    means = _means(calibrated, written, images)
    return {graph.Tensors(index).Name(): mean for index, mean in means.items()}


def _mean(data: bytes, graph: tflite.SubGraph, index: int, images: Array) -> Array:
    """The mean of each channel of a quantized tensor, as real values."""
    quantization = graph.Tensors(index).Quantization()
    mean = _means(data, [index], images)[index]
    return np.asarray((mean - quantization.ZeroPoint(0)) * quantization.Scale(0))


def _means(data: bytes, tensors: list[int], images: Array) -> dict[int, Array]:
    """The mean of each channel, the last axis, of tensors by their number."""
    sums = {index: np.zeros(()) for index in tensors}
    for values in inner_tensors.read(data, tensors, images):
        for index, value in values.items():
            sums[index] = sums[index] + value.mean(tuple(range(value.ndim - 1)), np.float64)
    return {index: total / len(images) for index, total in sums.items()}
