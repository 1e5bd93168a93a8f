"""From which probability each of several labels holds: chosen on the validation set, for its F1.

The threshold with the best F1 of a label (Yang, 2001, A Study of Thresholding Strategies for Text
Categorization) overfits: with many candidates, the best one is partly luck, above all for a rare
label (Lipton, Elkan and Naryanaswamy, 2014, Optimal Thresholding of Classifiers to Maximize F1
Measure). So the nearest to 0.5 is taken of those whose F1 is within one standard error of the best,
as trees are pruned (Breiman, Friedman, Olshen and Stone, 1984, Classification and Regression
Trees). One example more or less moves nothing. `python -m benchmarks.thresholds` compares rules.
"""

from __future__ import annotations

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.predictions import Predictions
from pipeline.targets import Thresholds
from serving.gate import THRESHOLD

ROUNDING = 1e-12
HIGHEST = (
    255 / 256
)  # that the output of an int8 file can be; with more it would never give the label


def fitted(validation: Predictions, target: str) -> Thresholds:
    """Those of several labels at once; None for any other target, by its name."""
    if target != "labels":
        return None
    return choose(validation.probabilities, validation.labels)


def choose(probabilities: Array, labels: Array) -> tuple[float, ...]:
    """The threshold of each of K labels, from probabilities and labels (N, K).

    In the fewest digits that say which float32 it is, as every reader compares float32.
    """
    columns = zip(probabilities.T.astype(np.float64), labels.T, strict=True)
    thresholds = (min(best_threshold(*column), HIGHEST) for column in columns)
    return tuple(float(str(np.float32(threshold))) for threshold in thresholds)


def best_threshold(probabilities: Array, labels: Array) -> float:
    """The threshold of one label (N,), which is 0.5 if no example has it."""
    positives = int(labels.sum())
    if positives == 0:
        return THRESHOLD
    thresholds, right, wrong = candidates(probabilities, labels)
    f1 = 2 * right / (right + wrong + positives)
    best = int(f1.argmax())
    equal = thresholds[behind(right - right[best], wrong - wrong[best], f1[best]) <= 1 + ROUNDING]
    return float(equal[np.abs(equal - THRESHOLD).argmin()])


def candidates(probabilities: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Thresholds (C,), and how many of the examples that reach each have the label, and have not.

    There is one for each set of examples that can reach it: 0.5 if that is one, else the middle, or
    the lowest of the set where float32 has nothing between.
    """
    order = np.argsort(-probabilities, kind="stable")
    edges = np.concatenate([[1.0], probabilities[order], [0.0]])
    reaching = np.flatnonzero(edges[:-1] > edges[1:])  # equal probabilities hold together
    right = np.concatenate([[0], np.cumsum(labels[order])])[reaching]
    low, high = edges[reaching + 1], edges[reaching]
    is_half = (low < THRESHOLD) & (high >= THRESHOLD)
    middle = ((low + high) / 2).astype(np.float32)
    between = np.where(middle > low, middle, high)
    return np.where(is_half, THRESHOLD, between), right, reaching - right


def behind(right: Array, wrong: Array, best: float) -> Array:
    """How far F1 is behind the best, in standard errors (C,).

    `right` and `wrong` (C,) are how many more answers are right and wrong than with the best.

    Each example by which two answers differ counts as much as it moves F1: 2 - F1 if it has the
    label, and F1 in the other direction if it has not.
    """
    lost = wrong * best - right * (2 - best)
    error = np.sqrt(np.abs(right) * (2 - best) ** 2 + np.abs(wrong) * best**2)
    result: Array = lost / np.maximum(error, ROUNDING)
    return result
