"""From which probability each of several labels holds: chosen on the validation set, for its F1.

The threshold with the best F1 of a label (Yang, 2001, A Study of Thresholding Strategies for Text
Categorization) overfits a label with few positive examples: the best of many candidates is so by
chance (Lipton, Elkan and Naryanaswamy, 2014, Optimal Thresholding of Classifiers to Maximize F1
Measure). So it is drawn towards 0.5, as far as if PRIOR more positives had asked for that: all the
way where there is none. `python -m benchmarks.thresholds` compares this with other rules.
"""

from __future__ import annotations

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.predictions import Predictions
from pipeline.targets import Thresholds
from serving.gate import THRESHOLD

PRIOR = 10
DIGITS = 6  # of what travels
ROUNDING = 1e-12


def of(validation: Predictions, target: str) -> Thresholds:
    """Those of several labels at once; None for any other target, by its name."""
    if target != "labels":
        return None
    return choose(validation.probabilities, validation.labels)


def choose(probabilities: Array, labels: Array) -> tuple[float, ...]:
    """The threshold of each of K labels, from probabilities and labels (N, K)."""
    columns = zip(probabilities.T.astype(np.float64), labels.T, strict=True)
    return tuple(round(shrunk(best(*column), int(column[1].sum())), DIGITS) for column in columns)


def shrunk(threshold: float, positives: int) -> float:
    return THRESHOLD + (threshold - THRESHOLD) * positives / (positives + PRIOR)


def best(probabilities: Array, labels: Array) -> float:
    """The threshold with the highest F1 of one label (N,); of several, the nearest to 0.5."""
    order = np.argsort(-probabilities, kind="stable")
    values, found = probabilities[order], np.cumsum(labels[order])
    f1 = 2 * found / np.maximum(np.arange(1, len(order) + 1) + labels.sum(), 1)
    following = np.append(values[1:], 0.0)
    ends = values > following  # equal probabilities hold together
    low, high = following[ends], values[ends]
    equal = f1[ends] >= f1[ends].max(initial=0) - ROUNDING
    # What is between two probabilities gives the same answers as the middle, but for 0.5 itself
    candidates = np.where((low < THRESHOLD) & (high >= THRESHOLD), THRESHOLD, (low + high) / 2)
    candidates = candidates[equal]
    nearest = np.abs(candidates - THRESHOLD).argmin() if len(candidates) else None
    return THRESHOLD if nearest is None else float(candidates[nearest])
