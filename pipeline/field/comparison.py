"""Two samples compared: what a model does in the field against what it did on the test set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.files.artifacts import Array

SIGNIFICANCE = 0.05
POWER = 0.8  # with which the labels that are asked for bring a verdict
MOST_LABELS = 10_000_000
TINY_SHARE = 0.0001  # in place of an empty bin's


@dataclass(frozen=True)
class Difference:
    """Field accuracy minus test accuracy, its 95 % interval, and the two-sided p-value that there is none."""

    difference: float
    interval: tuple[float, float]
    p_value: float


def difference(right: int, count: int, test_right: int, test_count: int) -> Difference:
    """`right` of `count` in the field against `test_right` of `test_count`: Newcombe's interval, Fisher's exact test."""
    table = np.array([[right, count - right], [test_right, test_count - test_right]])
    p_value = float(stats.fisher_exact(table).pvalue)
    return Difference(
        right / count - test_right / test_count,
        newcombe(right, count, test_right, test_count),
        p_value,
    )


def fewer(right: int, count: int, test_right: int, test_count: int) -> float:
    """The one-sided p-value, by Fisher's exact test, that no smaller part is right in the field than in the test."""
    table = np.array([[right, count - right], [test_right, test_count - test_right]])
    return float(stats.fisher_exact(table, alternative="less").pvalue)


def newcombe(right: int, count: int, test_right: int, test_count: int) -> tuple[float, float]:
    """The 95 % interval of a difference of two proportions, made of Wilson's intervals of each.

    Newcombe, 1998, Statistics in Medicine 17:873-890, method 10.
    """
    first, second = right / count, test_right / test_count
    (low, high), (test_low, test_high) = wilson(right, count), wilson(test_right, test_count)
    below, above = (
        np.hypot(first - low, test_high - second),
        np.hypot(high - first, second - test_low),
    )
    return float(first - second - below), float(first - second + above)


def wilson(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (1927, Journal of the American Statistical Association 22:209-212)."""
    interval = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def labels_needed(accuracy: float, test_right: int, test_count: int, max_drop: float) -> int | None:
    """How many labels bring a verdict with a probability of POWER where the field accuracy is `accuracy`.

    A verdict is an interval of the difference that lies wholly above -max_drop, or wholly below 0. None where the test set is
    too small for any number of labels to bring one.
    """

    def enough(count: int) -> bool:
        holds = _first(
            count, lambda right: newcombe(right, count, test_right, test_count)[0] > -max_drop
        )
        not_worse = _first(
            count, lambda right: newcombe(right, count, test_right, test_count)[1] >= 0
        )
        settled = stats.binom.sf(holds - 1, count, accuracy) + stats.binom.cdf(
            min(not_worse, holds) - 1, count, accuracy
        )
        return bool(settled >= POWER)

    high = 8
    while not enough(high):
        high *= 2
        if high > MOST_LABELS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The least number of right answers, up to count + 1, from which on `holds`."""
    low, high = -1, count + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number (Holm, 1979, Scandinavian Journal of Statistics 6:65-70)."""
    adjusted, worst = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        worst = max(worst, min((len(p_values) - rank) * p_values[index], 1.0))
        adjusted[index] = worst
    return adjusted


def kolmogorov_smirnov(counts: Array, reference: Array) -> float:
    """The p-value that two samples, counted in the same ordered bins (B,), are of one distribution.

    The exact distribution of the one-sample statistic at the effective size, as `scipy.stats.ks_2samp` has it for large
    samples. Within bins the two are not told apart, so that false alarms can only become fewer.
    """
    distance = float(
        np.abs(np.cumsum(counts) / counts.sum() - np.cumsum(reference) / reference.sum()).max()
    )
    return float(stats.kstwo.sf(distance, _effective(int(counts.sum()), int(reference.sum()))))


def least_distance(count: int, total: int, p_value: float) -> float:
    """The share of a sample of `count` that must have moved, at least, for `kolmogorov_smirnov` to fall to `p_value`."""
    return float(stats.kstwo.isf(p_value, _effective(count, total)))


def _effective(count: int, total: int) -> int:
    return max(round(count * total / (count + total)), 1)


def class_shares(counts: Array, reference: Array) -> float:
    """The p-value that two samples, counted in the same classes (K,), have the same share of each: the smallest of Fisher's exact
    tests of one class against the others, after Bonferroni. Exact, so that a class that was hardly ever met counts as well."""
    tables = np.array([[counts, counts.sum() - counts], [reference, reference.sum() - reference]])
    return min(
        1.0,
        len(counts)
        * min(float(stats.fisher_exact(tables[..., row]).pvalue) for row in range(len(counts))),
    )


def population_stability(counts: Array, reference: Array) -> float:
    """How far two distributions lie apart, whatever the sample sizes; Siddiqi (2006, Credit Risk Scorecards) calls less than 0.1
    small and more than 0.25 large."""
    shares, expected = (np.maximum(each / each.sum(), TINY_SHARE) for each in (counts, reference))
    return float(((shares - expected) * np.log(shares / expected)).sum())
