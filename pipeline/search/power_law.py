"""Errors against the number of training examples as a power law, and whether it foretells what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from pipeline.files.artifacts import Array


@dataclass(frozen=True)
class PowerLaw:
    """error = factor * examples ** -exponent, fitted by least squares to the logarithms."""

    coefficients: Array  # (2,): slope and intercept of log error over log examples
    covariance: Array
    variance: float  # of one training's log error about the line
    freedom: int

    @property
    def exponent(self) -> float:
        return -float(self.coefficients[0])

    def exponent_interval(self) -> tuple[float, float]:
        half = float(special.stdtrit(self.freedom, 0.975) * np.sqrt(self.covariance[0, 0]))
        return self.exponent - half, self.exponent + half

    def predict(self, examples: Array, trainings: float = np.inf) -> tuple[Array, Array, Array]:
        """The error at so many examples, and the ends of the 95 % interval of its mean over so many trainings."""
        logs = np.log(np.asarray(examples, float))
        terms = np.stack([logs, np.ones_like(logs)])
        middle = self.coefficients @ terms
        half = special.stdtrit(self.freedom, 0.975) * np.sqrt(
            (terms * (self.covariance @ terms)).sum(0) + self.variance / trainings
        )
        return np.exp(middle), np.exp(middle - half), np.exp(middle + half)


def fit(examples: Array, errors: Array) -> PowerLaw:
    """Through the trainings on `examples` (N,) with `errors` (N,), all above 0."""
    logs, targets = np.log(examples), np.log(errors)
    coefficients, covariance = np.polyfit(logs, targets, 1, cov=True)
    freedom = len(logs) - 2
    variance = float(((targets - np.polyval(coefficients, logs)) ** 2).sum() / freedom)
    return PowerLaw(coefficients, covariance, variance, freedom)


@dataclass(frozen=True)
class Measured:
    """Validation errors by the number of training examples, the power law of all, and that of all but the largest."""

    examples: Array
    errors: Array

    @property
    def largest(self) -> int:
        return int(self.examples.max())

    @property
    def law(self) -> PowerLaw:
        return fit(self.examples, self.errors)

    @property
    def check(self) -> PowerLaw:
        smaller = self.examples < self.largest
        return fit(self.examples[smaller], self.errors[smaller])

    def mean(self, size: int) -> float:
        """As the law has it: of the logarithms."""
        return float(np.exp(np.log(self.errors[self.examples == size]).mean()))

    def foretold(self) -> tuple[float, float, float]:
        """The error at the largest size as the smaller ones foretell it, with its interval."""
        count = int((self.examples == self.largest).sum())
        middle, low, high = self.check.predict(np.array([self.largest]), count)
        return float(middle[0]), float(low[0]), float(high[0])

    @property
    def holds(self) -> bool:
        _, low, high = self.foretold()
        return low <= self.mean(self.largest) <= high
