"""What a score measures: a share, of which more is better, or an error in the unit of a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from pipeline.files.artifacts import Array
from pipeline.files.reports.evaluate import FoldScore
from pipeline.process.words import percent
from pipeline.reporting.tables import amount, amounts, interval


@dataclass(frozen=True)
class Measure:
    """The name of a score, and the unit if it is an error; shares are shown in percent."""

    words: str
    unit: str | None = None

    @classmethod
    def of(cls, score: FoldScore) -> Self:
        return cls(score.words, score.unit)

    @property
    def sign(self) -> int:
        """Times this, more is better."""
        return 1 if self.unit is None else -1

    @property
    def scale(self) -> int:
        """Of pictures."""
        return 100 if self.unit is None else 1

    @property
    def highest(self) -> float:
        return 1.0 if self.unit is None else float("inf")

    @property
    def axis(self) -> str:
        """The label of an axis."""
        return f"{self.words}, {self.unit or '%'}"

    @property
    def of_several(self) -> str:
        """The mean over several models, in words."""
        return self.words if self.words.startswith("mean") else f"mean {self.words}"

    @property
    def key(self) -> str:
        """Its name among the figures in MLflow."""
        return self.words.replace(" ", "_")

    def bounded(self, middle: float, half: float) -> tuple[float, float]:
        """An interval, without values that no score has."""
        return max(middle - half, 0.0), min(middle + half, self.highest)

    def text(self, value: float) -> str:
        return percent(value) if self.unit is None else amount(value, self.unit)

    def figure(self, value: float) -> str:
        """The same, of a share as a fraction."""
        return f"{value:.4f}" if self.unit is None else amount(value, self.unit)

    def texts(self, bounds: Sequence[float]) -> str:
        """An interval in words."""
        return interval(bounds) if self.unit is None else amounts(bounds, self.unit)

    def change(self, value: float) -> str:
        """A difference of two figures, of which more is better."""
        return f"{value:+.4f}" if self.unit is None else f"{0.0 - value:+.4g} {self.unit}"

    def spread(self, value: float, half: float) -> str:
        """A value, and half its interval."""
        if self.unit is None:
            return f"{percent(value)} ± {100 * half:.2f}"
        return f"{value:.4g} ± {half:.2g} {self.unit}"

    def deviation(self, value: float) -> str:
        """A standard deviation in words."""
        return f"{100 * value:.2f} points" if self.unit is None else amount(value, self.unit)


class Judged(Protocol):
    """The answers to N examples under a measure: those of a metric, or the errors of numbers."""

    @property
    def name(self) -> str:
        """As in problem.metric, which is not read for numbers."""

    @property
    def measure(self) -> Measure: ...

    @property
    def value(self) -> float: ...

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the value."""

    def __len__(self) -> int: ...

    def rows(self, rows: Array) -> Self:
        """The answers to some of the examples."""

    def joined(self, others: Sequence[Self]) -> Self:
        """With those to other examples."""

    def p_values(self, old: Self, *, paired: bool) -> tuple[float, float]:
        """One-sided p-values that these answers are better than the old ones, and worse.

        Paired, both are to the same examples in the same order.
        """
