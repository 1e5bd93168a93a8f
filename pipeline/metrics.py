"""Metrics and the statistics that stand behind a verdict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special  # not scipy.stats, whose import takes each stage half a second

from pipeline.artifacts import Array

# Largest difference of a probability at which a device still computes what was proven. Kernels add in another order on
# another processor, which moves float32 results by some 1e-6; where activations are int8 it can move a rounding.
FLOAT_TOLERANCE, QUANTIZED_TOLERANCE = 0.001, 0.1


def accuracy_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a proportion (Clopper and Pearson, 1934); each end of that of 0.9 is a one-sided 95 % bound."""
    tail = (1 - confidence) / 2
    low = special.betaincinv(correct, total - correct + 1, tail) if correct else 0.0
    high = special.betaincinv(correct + 1, total - correct, 1 - tail) if correct < total else 1.0
    return float(low), float(high)


def accuracy_report(predictions: Array, labels: Array) -> dict[str, Any]:
    correct = int((predictions == labels).sum())
    return {"accuracy": correct / len(labels), "interval": accuracy_interval(correct, len(labels))}


def mcnemar(lost: int, gained: int) -> float:
    """The two-sided p-value of the exact McNemar test on `lost` and `gained` discordant pairs."""
    return min(1.0, 2 * float(special.bdtr(min(lost, gained), lost + gained, 0.5)))


def accuracy_lost_bound(lost: int, gained: int, total: int, confidence: float = 0.95) -> float:
    """The one-sided upper bound of the accuracy lost, from paired predictions.

    `lost` images only the reference has right, `gained` only the other. The score interval of a difference of paired
    proportions (Tango, 1998, Statistics in Medicine 17:891-908), solved for its upper end.
    """
    from scipy import optimize

    z = float(special.ndtri(confidence))

    def excess(delta: float) -> float:
        # maximum-likelihood estimate of P(gained) under loss = delta, Tango's equation 7 and following
        a = 2 * total
        b = -lost - gained + (2 * total - lost + gained) * delta
        c = -gained * delta * (1 - delta)
        nuisance = (np.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = total * (2 * nuisance + delta * (1 - delta))
        return float((lost - gained - total * delta) / np.sqrt(max(variance, 1e-300))) + z

    estimate = (lost - gained) / total
    if estimate >= 1:
        return 1.0
    return float(optimize.brentq(excess, max(estimate, -1 + 1e-12), 1 - 1e-12, xtol=1e-12))


def images_needed(max_accuracy_drop: float) -> int:
    """How many test images it takes to prove that no more is lost, when not one of them is lost or gained.

    Tango's bound is then z^2 / (n + z^2), with z the 95 % quantile of the normal distribution.
    """
    z = float(special.ndtri(0.95))
    return math.ceil(z * z * (1 - max_accuracy_drop) / max_accuracy_drop)


def confusion(predictions: Array, labels: Array, num_classes: int) -> Array:
    """Counts (K, K): row = true class, column = predicted class."""
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def per_class(matrix: Array, class_names: list[str]) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 of each class; 0 where a class was never predicted or never seen."""
    hits = matrix.diagonal()
    precision = hits / np.maximum(matrix.sum(0), 1)
    recall = hits / np.maximum(matrix.sum(1), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    columns = zip(class_names, precision, recall, f1, strict=True)
    return {name: {"precision": float(p), "recall": float(r), "f1": float(f)} for name, p, r, f in columns}
