"""How true the confidences of a model are: the expected calibration error, and its bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.files.artifacts import Array

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Decisions of about the same confidence: their number, mean confidence and right answers."""

    decisions: int
    confidence: float
    right: int

    @property
    def accuracy(self) -> float:
        return self.right / self.decisions


def decisions(probabilities: Array, labels: Array) -> tuple[Array, Array]:
    """Distributions (M, K) and their true columns (M,): one decision for each example.

    Several labels at once, with probabilities and labels (N, K), are N * K decisions between no and
    yes.
    """
    if labels.ndim == 1:
        return probabilities, labels
    flat = probabilities.reshape(-1)
    return np.stack([1 - flat, flat], axis=1), labels.reshape(-1).astype(np.int64)


def bins(probabilities: Array, labels: Array) -> list[Bin]:
    """The decisions in BINS equal intervals of confidence, without those that are empty."""
    distributions, labels = decisions(probabilities, labels)
    confidences = distributions.max(1).astype(np.float64)
    right = distributions.argmax(1) == labels
    # (0, 1/15], (1/15, 2/15], ...: the upper end belongs to a bin, as in the source.
    numbers = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    parts = [np.flatnonzero(numbers == number) for number in range(BINS)]
    return [
        Bin(len(part), float(confidences[part].mean()), int(right[part].sum()))
        for part in parts
        if len(part)
    ]


def error(probabilities: Array, labels: Array) -> float:
    """The expected calibration error: how far confidence and accuracy are apart, on average.

    With 15 bins of equal width (Guo et al., 2017, On Calibration of Modern Neural Networks, ICML,
    equation 3). Bins of equal size would split equal confidences, of which an int8 file has many,
    by their order.
    """
    return mean_gap(bins(probabilities, labels))


def mean_gap(parts: Sequence[Bin]) -> float:
    """How far confidence and accuracy are apart, over all decisions."""
    apart = sum(part.decisions * abs(part.accuracy - part.confidence) for part in parts)
    return apart / sum(part.decisions for part in parts)
