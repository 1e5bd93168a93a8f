"""The distribution functions of the gate, which SciPy has and a device has not."""

from __future__ import annotations

import math
from functools import cache
from typing import Callable, Optional


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), to about 1e-13.

    Its continued fraction (DLMF 8.17.22), evaluated with Lentz's method.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    log_factor = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    fraction = numerator = 1.0
    denominator = 0.0
    for step in range(10_000):
        m = step // 2
        if step == 0:
            coefficient = 1.0
        elif step % 2:
            coefficient = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            coefficient = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / _not_zero(1 + coefficient * denominator)
        numerator = _not_zero(1 + coefficient / numerator)
        fraction *= numerator * denominator
        if abs(numerator * denominator - 1) < 1e-15:
            break
    return math.exp(log_factor) * (fraction - 1) / a


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300


@cache
def t_quantile(risk: float, total: int) -> float:
    """What Student's t of a mean of `total` values exceeds with this probability."""
    freedom = max(total - 1, 1)

    def excess(t: float) -> float:
        return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2 - risk

    return root(excess, 0.0, 64.0)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """The zero of a decreasing function between `low` and `high`, to 1e-13."""
    while high - low > 1e-13:
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return high


def fewest(shown: Callable[[int], bool], low: int, most: int) -> Optional[int]:
    """The least count from `low` to `most` from which on all are `shown`; None if none is."""
    if not shown(most):
        return None
    while low < most:
        middle = (low + most) // 2
        low, most = (low, middle) if shown(middle) else (middle + 1, most)
    return low
