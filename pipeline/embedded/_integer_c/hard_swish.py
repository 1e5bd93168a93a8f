"""x * relu6(x + 3) / 6 of int8 values in fixed point, as TensorFlow Lite Micro computes it.

See `HardSwish` in tensorflow/lite/kernels/internal/reference/hard_swish.h and its preparation in
tensorflow/lite/micro/kernels/hard_swish_common.cc. All numbers have 16 bits there. As there are
only 256 inputs, C needs no more than their table.
"""

from __future__ import annotations

import numpy as np

from pipeline.embedded._integer_c import scaling
from pipeline.embedded._integer_c.network import Tensor
from pipeline.embedded._integer_c.scaling import Factor
from pipeline.files.artifacts import Array

SPARE_BITS = 7  # by which inputs are shifted to the left
LEAST, LARGEST = -(2**15), 2**15 - 1
MOST_RIGHT, MOST_LEFT = 15, 31  # places of a shift
SLOPE = np.float32(3 / 32768)  # so that 16 bits reach from -3 to 3, where the function bends


def misfit(source: Tensor, output: Tensor) -> str | None:
    """Why the table would not equal TensorFlow Lite Micro; None if it does.

    It shifts an output only to the right. It shifts numbers of 16 bits to the right by at most 15
    places, as its mask for rounding has 16 bits, too, and to the left by at most 31.
    """
    scaled = output_factor(source, output).shift
    if scaled > 0:
        return "has an output whose scale is at most 1/128 of its input's"
    if scaled < -MOST_RIGHT:
        return "has an output whose scale is more than 512 times its input's"
    if not -MOST_RIGHT <= bend_factor(source).shift <= MOST_LEFT:
        return "has an input whose scale is not from 1.79e-7 to 2.51e7"
    return None


def table(source: Tensor, output: Tensor) -> Array:
    """The output (256,) int8 for each input from -128."""
    scaled = output_factor(source, output)
    bend = bend_factor(source)

    def value(quantized: int) -> int:
        high = clamped((quantized - source.zero_point) << SPARE_BITS)
        preshifted = product(high, scaled.multiplier)
        share = (relu6_share(high, bend) + 2**15) >> 1
        result = scaling.divided(truncated(share * preshifted), -scaled.shift)
        return min(max(result + output.zero_point, -128), 127)

    return np.array([value(quantized) for quantized in range(-128, 128)], np.int8)


def relu6_share(high: int, bend: Factor) -> int:
    """relu6(x + 3) / 6, from -2**15 for 0 to 2**15 for 1."""
    if bend.shift > 0:
        # Once more after the product, as the most significant bit must survive that.
        high = clamped(high << (bend.shift - 1))
        return clamped(product(high, bend.multiplier) << 1)
    return scaling.divided(product(high, bend.multiplier), -bend.shift)


def output_factor(source: Tensor, output: Tensor) -> Factor:
    return factor(source.scale / np.float32(2**SPARE_BITS) / output.scale)


def bend_factor(source: Tensor) -> Factor:
    return factor(source.scale / np.float32(2**SPARE_BITS) / SLOPE)


def factor(real: np.float32) -> Factor:
    """The closest factor with a multiplier of 15 bits."""
    exact = scaling.factor(float(real))
    return Factor(min((exact.multiplier + 2**15) >> 16, LARGEST), exact.shift)


def product(a: int, b: int) -> int:
    """a * b / 2**15, rounded, halves away from zero."""
    return truncated(a * b + (2**14 if a * b >= 0 else 1 - 2**14))


def truncated(value: int) -> int:
    """value / 2**15 without its fraction, in 16 bits."""
    return clamped(abs(value) >> 15 if value >= 0 else -(abs(value) >> 15))


def clamped(value: int) -> int:
    return min(max(value, LEAST), LARGEST)
