"""The logistic function of int8 values in fixed point, as TensorFlow Lite Micro computes it.

A number with n integer bits is an integer of 32 bits in units of 2**(n - 31), as in gemmlowp; see
`Logistic` in tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h, and `logistic` in
gemmlowp/fixedpoint/fixedpoint.h. As there are only 256 inputs, C needs no more than their table.
"""

from __future__ import annotations

import numpy as np

from pipeline.embedded._integer_c import scaling
from pipeline.files.artifacts import Array

INPUT_BITS = 4  # integer bits of the input, so that it reaches from -16 to 16
OUTPUT_BITS = 8
ONE, LARGEST = 2**31, 2**31 - 1
QUARTER = 1 << (29 - INPUT_BITS)
EIGHTH, THIRD, EXP_OF_MINUS_EIGHTH = 1 << 28, 715827883, 1895147668
# exp(-1/4), exp(-1/2), ... exp(-8)
EXP_OF_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401)


def table(scale: np.float32, zero_point: int) -> Array:
    """The output (256,) int8 for each input from -128, whose scale and zero point are given.

    The output has the scale 1/256 and the zero point -128.
    """
    factor = scaling.factor(float(scale) * 2 ** (31 - INPUT_BITS))
    # Farther from 0, the output is 0 or the largest one.
    radius = ((2**INPUT_BITS - 1) << (31 - INPUT_BITS)) / 2.0**factor.shift

    def output(value: int) -> int:
        if abs(value) >= int(radius):
            return -128 if value <= 0 else 127
        fraction = logistic(scaling.rescaled(value, factor))
        return min(scaling.divided(fraction, 31 - OUTPUT_BITS) - 128, 127)

    return np.array([output(value - zero_point) for value in range(-128, 128)], np.int8)


def logistic(x: int) -> int:
    """1 / (1 + exp(-x)) with 0 integer bits, for x with INPUT_BITS."""
    if x == 0:
        return ONE // 2
    positive = reciprocal_of_one_plus(exponential(-abs(x)))
    return positive if x > 0 else LARGEST - positive


def exponential(x: int) -> int:
    """exp(x) with 0 integer bits, for x below 0 with INPUT_BITS."""
    fraction = (x & (QUARTER - 1)) - QUARTER
    rest = fraction - x
    result = exponential_near_zero(fraction << INPUT_BITS)
    for bit, power in enumerate(EXP_OF_POWERS):
        if rest & (QUARTER << bit):
            result = scaling.product(result, power)
    return result


def exponential_near_zero(x: int) -> int:
    """exp(x) for x from -1/4 to 0, both with 0 integer bits: a polynomial around -1/8."""
    d = x + EIGHTH
    square = scaling.product(d, d)
    cube, fourth = scaling.product(square, d), scaling.product(square, square)
    higher = scaling.product(scaling.divided(fourth, 2) + cube, THIRD)
    series = d + scaling.divided(higher + square, 1)
    return EXP_OF_MINUS_EIGHTH + scaling.product(EXP_OF_MINUS_EIGHTH, series)


def reciprocal_of_one_plus(x: int) -> int:
    """1 / (1 + x) for x from 0 to 1, both with 0 integer bits: three steps of Newton's method."""
    half = (x + LARGEST + 1) // 2
    result = 1515870810 + scaling.product(half, -1010580540)  # 48/17 - 32/17 half
    for _ in range(3):
        error = (1 << 29) - scaling.product(half, result)
        result += scaling.product(result, error) << 2
    return min(result << 1, LARGEST)
