"""Statistics that compare two samples: field data and the test set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.files.artifacts import Array

SIGNIFICANCE = 0.05
# The probability that the number of labels we ask for leads to a verdict.
POWER = 0.8
MOST_LABELS = 10_000_000
# Fewer mistakes than this are no verdict against the model: one or two may be wrong labels, or
# images that were sent in because they are unusual.
FEWEST_MISTAKES = 3
# Replaces the share of an empty bin, whose logarithm would be infinite.
TINY_SHARE = 0.0001


@dataclass(frozen=True)
class Difference:
    """Field minus test, of an accuracy or an error; its 95 % interval and two-sided p-value."""

    difference: float
    interval: tuple[float, float]
    p_value: float


def difference(right: int, count: int, test_right: int, test_count: int) -> Difference:
    """Compares `right` of `count` in the field with `test_right` of `test_count` in the test.

    The interval is Newcombe's, the p-value that of Fisher's exact test.
    """
    table = np.array([[right, count - right], [test_right, test_count - test_right]])
    p_value = float(stats.fisher_exact(table).pvalue)
    return Difference(
        right / count - test_right / test_count,
        newcombe(right, count, test_right, test_count),
        p_value,
    )


@dataclass(frozen=True)
class Mean:
    """A mean of `count` values, and its standard error."""

    value: float
    standard_error: float
    count: int


def welch(field: Mean, test: Mean) -> Difference:
    """Compares two means with unequal variances.

    Welch, 1947, Biometrika 34:28-35, with Satterthwaite's degrees of freedom.
    """
    parts = np.array([field.standard_error**2, test.standard_error**2])
    total, standard_error = float(parts.sum()), float(np.sqrt(parts.sum()))
    change = field.value - test.value
    if not standard_error:
        return Difference(change, (change, change), 0.0 if change else 1.0)
    freedom = np.array([max(field.count - 1, 1), max(test.count - 1, 1)])
    degrees = total**2 / float((parts**2 / freedom).sum())
    margin = float(stats.t.ppf(0.975, degrees)) * standard_error
    p_value = float(2 * stats.t.sf(abs(change) / standard_error, degrees))
    return Difference(change, (change - margin, change + margin), p_value)


def labels_for_error(deviation: float, test: Mean, effect: float) -> int | None:
    """How many labels tell a difference of means of `effect` with probability POWER.

    `deviation` is that of the errors in the field. None if the test set is too small for that.
    """
    margin = effect / (stats.norm.ppf(0.975) + stats.norm.ppf(POWER))
    left = margin**2 - test.standard_error**2
    needed = float(np.ceil(deviation**2 / left)) if left > 0 else np.inf
    return int(needed) if needed <= MOST_LABELS else None


def p_value_of_decline(right: int, count: int, test_right: int, test_count: int) -> float:
    """The one-sided p-value of Fisher's exact test for a lower accuracy than in the test."""
    table = np.array([[right, count - right], [test_right, test_count - test_right]])
    return float(stats.fisher_exact(table, alternative="less").pvalue)


def newcombe(right: int, count: int, test_right: int, test_count: int) -> tuple[float, float]:
    """The 95 % interval of the difference of two proportions, from Wilson's interval of each.

    Newcombe, 1998, Statistics in Medicine 17:873-890, method 10.
    """
    field, test = right / count, test_right / test_count
    low, high = wilson(right, count)
    test_low, test_high = wilson(test_right, test_count)
    below = np.hypot(field - low, test_high - test)
    above = np.hypot(high - field, test - test_low)
    return float(field - test - below), float(field - test + above)


def wilson(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion.

    Wilson, 1927, Journal of the American Statistical Association 22:209-212.
    """
    interval = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def labels_needed(accuracy: float, test_right: int, test_count: int, max_drop: float) -> int | None:
    """How many labels lead to a verdict with probability POWER if the field accuracy is `accuracy`.

    There is a verdict once the interval of the difference lies entirely above -max_drop or entirely
    below 0. None if the test set is too small for any number of labels to lead to one.
    """

    def enough(count: int) -> bool:
        def interval(right: int) -> tuple[float, float]:
            return newcombe(right, count, test_right, test_count)

        holds = _first(-1, count + 1, lambda right: interval(right)[0] > -max_drop)
        not_worse = _first(-1, count + 1, lambda right: interval(right)[1] >= 0)
        shown_to_hold = stats.binom.sf(holds - 1, count, accuracy)
        shown_worse = stats.binom.cdf(min(not_worse, holds) - 1, count, accuracy)
        return bool(shown_to_hold + shown_worse >= POWER)

    high = 8
    while not enough(high):
        high *= 2
        if high > MOST_LABELS:
            return None
    return _first(high // 2, high, enough)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The smallest number above `low`, at most `high`, from which on `holds` is true."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for multiple tests (Holm, 1979, Scand. J. Statistics 6:65-70)."""
    adjusted, worst = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        worst = max(worst, min((len(p_values) - rank) * p_values[index], 1.0))
        adjusted[index] = worst
    return adjusted


def kolmogorov_smirnov(counts: Array, reference: Array) -> float:
    """The p-value that two samples, counted in the same ordered bins (B,), share a distribution.

    Uses the exact distribution of the one-sample statistic at the effective sample size, as
    `scipy.stats.ks_2samp` does for large samples. Binning hides differences within a bin, so it can
    only lower the number of false alarms.
    """
    cumulative = np.cumsum(counts) / counts.sum()
    distance = float(np.abs(cumulative - np.cumsum(reference) / reference.sum()).max())
    size = _effective_size(int(counts.sum()), int(reference.sum()))
    return float(stats.kstwo.sf(distance, size))


def least_distance(count: int, total: int, p_value: float) -> float:
    """The smallest share of a sample of `count` that must move to give `p_value`.

    `p_value` is that of `kolmogorov_smirnov` against a reference of `total`.
    """
    return float(stats.kstwo.isf(p_value, _effective_size(count, total)))


def _effective_size(count: int, total: int) -> int:
    return max(round(count * total / (count + total)), 1)


def class_shares(counts: Array, reference: Array) -> float:
    """The p-value that two samples, counted in the same classes (K,), have equal class shares.

    The smallest p-value of Fisher's exact test of each class against all others, with Bonferroni's
    correction. The test is exact, so it also works for classes that hardly ever occur.
    """
    return shares(counts, reference, (int(counts.sum()), int(reference.sum())))


def shares(counts: Array, reference: Array, totals: tuple[int, int]) -> float:
    """The same for labels, several of which an example may have; `totals` are the examples."""
    tables = np.array([[counts, totals[0] - counts], [reference, totals[1] - reference]])
    p_values = [float(stats.fisher_exact(tables[..., row]).pvalue) for row in range(len(counts))]
    return min(1.0, len(counts) * min(p_values))


def population_stability(counts: Array, reference: Array) -> float:
    """The population stability index: the distance of two distributions, whatever the sample sizes.

    Siddiqi (2006, Credit Risk Scorecards) calls less than 0.1 small and more than 0.25 large.
    """
    shares = np.maximum(counts / counts.sum(), TINY_SHARE)
    expected = np.maximum(reference / reference.sum(), TINY_SHARE)
    return float(((shares - expected) * np.log(shares / expected)).sum())
