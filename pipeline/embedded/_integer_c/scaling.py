"""Real factors as integers: a multiplier of 31 bits and a shift, as TensorFlow Lite computes them.

The precision in which each factor is computed matters: a float32 product where TensorFlow Lite has
a float64 one changes a multiplier, and with it an output once in a while. As in
tensorflow/lite/kernels/internal/quantization_util.cc and kernel_util.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ai_edge_litert.schema_py_generated import ActivationFunctionType as Activation

from pipeline.embedded._integer_c.network import Operator, Tensor

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
# The real range of the output with each fused activation; None: no limit.
RANGES: dict[int, tuple[float | None, float | None]] = {
    Activation.NONE: (None, None),
    Activation.RELU: (0.0, None),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
    Activation.RELU6: (0.0, 6.0),
}


@dataclass(frozen=True)
class Factor:
    """The real number multiplier / 2**31 * 2**shift."""

    multiplier: int
    shift: int


def factor(real: float) -> Factor:
    """The closest factor with a multiplier of 31 bits; 0 below 2**-32."""
    fraction, shift = math.frexp(real)
    multiplier = rounded(fraction * 2**31)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return Factor(multiplier, shift) if shift >= -31 else Factor(0, 0)


def rounded(value: float) -> int:
    """The nearest integer, halves away from zero, like C's round()."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def product(a: int, b: int) -> int:
    """`multiply_fractions` of layers/fixed_point.h, for values that are not both the least."""
    rounding = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    magnitude = abs(a * b + rounding) >> 31
    return magnitude if a * b + rounding >= 0 else -magnitude


def divided(value: int, exponent: int) -> int:
    """`divide_by_power_of_2` of layers/fixed_point.h."""
    mask = (1 << exponent) - 1
    return (value >> exponent) + ((value & mask) > (mask >> 1) + (value < 0))


def rescaled(value: int, factor: Factor) -> int:
    """`rescale` of layers/fixed_point.h."""
    left, right = max(factor.shift, 0), max(-factor.shift, 0)
    return divided(product(value << left, factor.multiplier), right)


def ratio(tensor: Tensor, output: Tensor) -> float:
    """The scale of `tensor` in units of that of `output`."""
    return float(tensor.scale) / float(output.scale)


def limits(operator: Operator, activation: int) -> tuple[int, int]:
    """The least and the largest output that a fused activation permits. Raises UserError."""
    if activation not in RANGES:
        raise operator.refusal("has a fused activation other than RELU, RELU6 and RELU_N1_TO_1")
    output = operator.output
    least, most = LIMITS[output.dtype]
    low, high = RANGES[activation]
    if low is not None:
        least = max(least, quantized(low, output))
    if high is not None:
        most = min(most, quantized(high, output))
    return least, most


def quantized(real: float, tensor: Tensor) -> int:
    return tensor.zero_point + rounded(float(np.float32(real) / tensor.scale))
