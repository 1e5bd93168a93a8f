"""Validation error against training set size as a power law, and a check of its forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from pipeline.files.artifacts import Array
from pipeline.process.words import percent
from pipeline.reporting.tables import amount, amounts, interval


@dataclass(frozen=True)
class PowerLaw:
    """error = factor * examples ** -exponent, fitted by least squares to the logarithms."""

    coefficients: Array  # (2,): slope and intercept of log error over log examples
    covariance: Array
    variance: float  # of the log error of one training around the fit
    freedom: int

    @property
    def exponent(self) -> float:
        return -float(self.coefficients[0])

    def exponent_interval(self) -> tuple[float, float]:
        half = float(special.stdtrit(self.freedom, 0.975) * np.sqrt(self.covariance[0, 0]))
        return self.exponent - half, self.exponent + half

    def predict(self, examples: Array, trainings: float = np.inf) -> tuple[Array, Array, Array]:
        """The error at these sizes, and the 95 % interval of its mean over N trainings."""
        logs = np.log(np.asarray(examples, float))
        terms = np.stack([logs, np.ones_like(logs)])
        middle = self.coefficients @ terms
        variance = (terms * (self.covariance @ terms)).sum(0) + self.variance / trainings
        half = special.stdtrit(self.freedom, 0.975) * np.sqrt(variance)
        return np.exp(middle), np.exp(middle - half), np.exp(middle + half)

    def predict_one(self, examples: int, trainings: float = np.inf) -> tuple[float, float, float]:
        """The same at one size."""
        middle, low, high = self.predict(np.array([examples]), trainings)
        return float(middle[0]), float(low[0]), float(high[0])


def fit(examples: Array, errors: Array) -> PowerLaw:
    """A power law through trainings on `examples` (N,) with `errors` (N,), all above 0."""
    logs, targets = np.log(examples), np.log(errors)
    coefficients, covariance = np.polyfit(logs, targets, 1, cov=True)
    freedom = len(logs) - 2
    variance = float(((targets - np.polyval(coefficients, logs)) ** 2).sum() / freedom)
    return PowerLaw(coefficients, covariance, variance, freedom)


@dataclass(frozen=True)
class ErrorCurve:
    """Validation errors (N,) of trainings on `examples` (N,).

    They are the shares of wrong answers, or mean absolute errors in the `unit` of a number.
    """

    examples: Array
    errors: Array
    unit: str | None = None

    def words(self, error: float) -> str:
        return percent(error) if self.unit is None else amount(error, self.unit)

    def between(self, low: float, high: float) -> str:
        return interval((low, high)) if self.unit is None else amounts((low, high), self.unit)

    @property
    def largest(self) -> int:
        return int(self.examples.max())

    @property
    def law(self) -> PowerLaw:
        return fit(self.examples, self.errors)

    def mean(self, size: int) -> float:
        """The geometric mean of the errors at a size, as the law is fitted to logarithms."""
        return float(np.exp(np.log(self.errors[self.examples == size]).mean()))

    def forecast(self) -> tuple[float, float, float]:
        """The error at the largest size with its interval, predicted from the smaller sizes."""
        smaller = self.examples < self.largest
        law = fit(self.examples[smaller], self.errors[smaller])
        return law.predict_one(self.largest, int((~smaller).sum()))

    @property
    def holds(self) -> bool:
        """Whether the error at the largest size lies in the forecast's interval."""
        _, low, high = self.forecast()
        return low <= self.mean(self.largest) <= high
