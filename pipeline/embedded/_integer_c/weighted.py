"""Layers with weights: convolutions and dense layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.schema_py_generated import Padding

from pipeline.embedded._integer_c import scaling
from pipeline.embedded._integer_c.layer import Call, Layer, map_fields
from pipeline.embedded._integer_c.network import Operator, Tensor
from pipeline.files.artifacts import Array
from pipeline.runtimes import four_bits

LARGEST_INPUT = 256  # the largest difference of an int8 value from a zero point, rounded up


def convolution(operator: Operator) -> Layer:
    kernel = weights(operator)
    filters, height, width, channels = kernel.shape
    fields = window_fields(operator, height, width) | {
        "filter_channels": channels,
        "input_zero_point": operator.inputs[0].zero_point,
        **sum_fields(operator, kernel.reshape(filters, -1)),
        **stored(operator, kernel.reshape(filters, -1)),
    }
    return layer(operator, "convolution", fields, scratch=2 * height * width * channels)


def depthwise_convolution(operator: Operator) -> Layer:
    kernel = weights(operator)
    _, height, width, channels = kernel.shape
    fields = window_fields(operator, height, width) | {
        "multiplier": channels // operator.inputs[0].shape[3],
        "input_zero_point": operator.inputs[0].zero_point,
        "weights": kernel.reshape(-1),
        **sum_fields(operator, kernel.reshape(-1, channels).T),
    }
    return layer(operator, "depthwise_convolution", fields)


def fully_connected(operator: Operator) -> Layer:
    """Every weight meets an input, so the zero point of the input becomes part of the biases."""
    kernel = weights(operator)
    outputs, inputs = kernel.shape
    fields = stored(operator, kernel) | sum_fields(operator, kernel)
    shift = operator.inputs[0].zero_point * kernel.astype(np.int64).sum(1)
    fields |= {
        "rows": operator.inputs[0].size // inputs,
        "inputs": inputs,
        "outputs": outputs,
        "biases": (fields["biases"] - shift).astype(np.int32),
    }
    return layer(operator, "fully_connected", fields)


def layer(operator: Operator, name: str, fields: dict[str, Any], scratch: int = 0) -> Layer:
    call = Call(name, f"{name}.c", name, fields, operator.inputs[:1])
    return Layer(operator, (call,), scratch=scratch)


def weights(operator: Operator) -> Array:
    """The constant weights, int8 also if they have four bits. Raises UserError for any others."""
    tensor = operator.inputs[1]
    if tensor.values is None or tensor.dtype not in ("int8", "int4") or tensor.zero_point:
        raise operator.refusal("has weights that are not constant symmetric int8 or int4 values")
    return tensor.values


def stored(operator: Operator, rows: Array) -> dict[str, Any]:
    """The fields with the weights (outputs, products). Each row of int4 begins with a new byte."""
    is_packed = operator.inputs[1].dtype == "int4"
    values = four_bits.packed(rows) if is_packed else rows
    return {"weights": values.reshape(-1), "packed": int(is_packed)}


def sum_factors(operator: Operator) -> list[float]:
    """What a sum of products is multiplied by: one factor, or one for each output channel.

    TensorFlow Lite Micro computes them in float64, a single factor of a dense layer too.
    """
    source, kernel, output = operator.inputs[0], operator.inputs[1], operator.output
    product = float(source.scale) * kernel.scales.astype(np.float64)
    return list(product / float(output.scale))


def sum_fields(operator: Operator, rows: Array) -> dict[str, Any]:
    """The fields of a layer that sums products; `rows` (outputs, products) are its weights.

    Raises UserError if a sum could overflow 32 bits.
    """
    biases = bias(operator, len(rows))
    largest = LARGEST_INPUT * np.abs(rows.astype(np.int64)).sum(1) + np.abs(biases)
    if largest.max() >= 2**31:
        raise operator.refusal("has sums that overflow 32 bits")
    factors = [scaling.factor(real) for real in sum_factors(operator)]
    least, most = scaling.limits(operator, operator.options.fusedActivationFunction)
    return {
        "biases": biases.astype(np.int32),
        "scaling": {
            "multipliers": np.array([factor.multiplier for factor in factors], np.int32),
            "shifts": np.array([factor.shift for factor in factors], np.int8),
            "per_channel": int(len(factors) > 1),
            "zero_point": operator.output.zero_point,
            "least": least,
            "most": most,
        },
    }


def bias(operator: Operator, count: int) -> Array:
    """The biases (C,) int64; zeros if there are none."""
    if len(operator.inputs) < 3:
        return np.zeros(count, np.int64)
    values = operator.inputs[2].values
    if values is None or operator.inputs[2].dtype != "int32":
        raise operator.refusal("has biases that are not constant int32 values")
    return values.astype(np.int64)


def window_fields(operator: Operator, height: int, width: int) -> dict[str, Any]:
    """The fields of a layer that moves a window of height x width over its input."""
    source, options = operator.inputs[0], operator.options
    stride = options.strideH, options.strideW
    dilation = getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1)
    return {
        "input": map_fields(operator, source),
        "output": map_fields(operator, operator.output),
        "filter": (height, width),
        "stride": stride,
        "dilation": dilation,
        "padding": padding(operator, source, (height, width), stride, dilation),
    }


def padding(
    operator: Operator,
    source: Tensor,
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int]:
    """Rows above the input and columns to its left; half of what SAME padding needs."""
    if operator.options.padding == Padding.VALID:
        return 0, 0
    covered = (
        (operator.output.shape[1 + axis] - 1) * stride[axis]
        + (window[axis] - 1) * dilation[axis]
        + 1
        for axis in range(2)
    )
    above, left = (
        max(0, needed - size) // 2 for needed, size in zip(covered, source.shape[1:3], strict=True)
    )
    return above, left
