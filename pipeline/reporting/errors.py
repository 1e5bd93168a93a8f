"""The interval and the tests of the mean absolute error, for models that give numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.reports.evaluate import MEAN_ERROR
from pipeline.reporting import statistics
from pipeline.reporting.measure import Measure

ABSOLUTE_ERROR = "absolute_error"


@dataclass(frozen=True)
class Errors:
    """The absolute errors (N,) of answers, in a unit."""

    errors: Array
    unit: str

    @classmethod
    def of(cls, answers: Array, labels: Array, unit: str | None) -> Self:
        """Those of answers (N,) to examples with labels (N,)."""
        return cls(distances(answers, labels), unit or "")

    @property
    def name(self) -> str:
        return ABSOLUTE_ERROR

    @property
    def measure(self) -> Measure:
        return Measure(MEAN_ERROR, self.unit)

    @property
    def value(self) -> float:
        return float(self.errors.mean())

    @property
    def interval(self) -> tuple[float, float]:
        return statistics.mean_interval(self.errors)

    def __len__(self) -> int:
        return len(self.errors)

    def rows(self, rows: Array) -> Self:
        return replace(self, errors=self.errors[rows])

    def joined(self, others: Sequence[Self]) -> Self:
        return replace(self, errors=np.concatenate([self.errors, *(one.errors for one in others)]))

    def p_values(self, old: Self, *, paired: bool) -> tuple[float, float]:
        test = paired_p_values if paired else unpaired_p_values
        return test(self.errors, old.errors)


def distances(answers: Array, labels: Array) -> Array:
    """The absolute error (N,) of each answer."""
    result: Array = np.abs(answers.astype(np.float64) - labels)
    return result


def paired_p_values(new: Array, old: Array) -> tuple[float, float]:
    """One-sided p-values that the mean of `new` (N,) is below that of `old`, and above it.

    Student's paired t-test; 1 for equal values, whose t would be 0 / 0, and for fewer than two.
    """
    from scipy import stats

    if len(new) < 2:
        return 1.0, 1.0
    differences = new - old
    mean, total = float(differences.mean()), len(differences)
    standard_error = float(differences.std(ddof=1)) / total**0.5
    if not standard_error:
        return certain(mean)
    t = mean / standard_error
    return float(stats.t.cdf(t, total - 1)), float(stats.t.sf(t, total - 1))


def unpaired_p_values(new: Array, old: Array) -> tuple[float, float]:
    """The same for values of different examples, (N,) and (M,), by Welch's t-test."""
    from scipy import stats

    if min(len(new), len(old)) < 2:
        return 1.0, 1.0
    if np.ptp(new) == np.ptp(old) == 0:
        return certain(float(new[0] - old[0]))
    below, above = (
        float(stats.ttest_ind(new, old, equal_var=False, alternative=alternative).pvalue)
        for alternative in ("less", "greater")
    )
    return below, above


def certain(difference: float) -> tuple[float, float]:
    """The p-values of a difference without any spread, whose t would be infinite."""
    return (1.0, 1.0) if not difference else (float(difference > 0), float(difference < 0))
