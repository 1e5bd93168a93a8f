"""What the labels of a list of files mean: a class of several, several labels, or a number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.config.parts import is_number, one_class_each
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError

SEPARATOR = "\x1f"  # between several labels: ASCII's unit separator, which no name has
TENTHS = 10
COARSE = 0.01  # of the mean difference of numbers from their mean
NOISE = 1e-10  # of the largest number: a mean difference that is an error of calculation


def joined(names: Iterable[str]) -> str:
    """Several labels as one text."""
    return SEPARATOR.join(sorted(set(names)))


def separate(label: str) -> list[str]:
    return label.split(SEPARATOR) if label else []


def array(target: str, labels: Sequence[str], names: Sequence[str]) -> Array:
    """The labels of N examples as `Raw` has them: (N,) int64, (N, K) int64 or (N,) float32."""
    if is_number(target):
        return as_float32(np.array(labels, np.float64))
    numbers = {name: number for number, name in enumerate(names)}
    if one_class_each(target):
        return np.array([numbers[label] for label in labels], np.int64)
    result = np.zeros((len(labels), len(names)), np.int64)
    for row, label in enumerate(labels):
        result[row, [numbers[name] for name in separate(label)]] = 1
    return result


def as_float32(numbers: Array) -> Array:
    """Numbers (N,) to predict. Raises UserError if float32 does not tell them apart."""
    result: Array = numbers.astype(np.float32)
    if len(numbers) and numbers.min() < numbers.max():
        rounding = np.abs(result - numbers).max()
        deviation = np.abs(numbers - numbers.mean()).mean()
        if rounding > COARSE * deviation > COARSE * NOISE * np.abs(numbers).max():
            low, high = numbers.min(), numbers.max()
            raise UserError(
                f"the numbers to predict are from {low:.12g} to {high:.12g}, and float32 rounds "
                f"them by up to {rounding:.2g}; subtract {low:.12g} from all, and add it to each "
                "answer"
            )
    return result


def strata(target: str, labels: Array) -> Array:
    """A number (N,) for each example; any first rows shall have each number in proportion."""
    if is_number(target):
        tenths: Array = labels.argsort(kind="stable").argsort() * TENTHS // max(len(labels), 1)
        return tenths
    if one_class_each(target):
        return labels
    combinations: Array = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
    return combinations


def counts(target: str, labels: Array, names: Sequence[str]) -> dict[str, int]:
    """How many examples have each class or label; none for a number."""
    if is_number(target):
        return {}
    totals = np.bincount(labels, minlength=len(names)) if one_class_each(target) else labels.sum(0)
    return dict(zip(names, totals.tolist(), strict=True))
