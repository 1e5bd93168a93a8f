"""Metrics, and the statistics behind a verdict."""

from __future__ import annotations

import numpy as np

from pipeline.files.artifacts import Array
from serving.gate import accuracy_interval, images_needed, mcnemar

__all__ = [
    "FLOAT_TOLERANCE",
    "QUANTIZED_TOLERANCE",
    "accuracy",
    "accuracy_interval",
    "accuracy_intervals",
    "images_needed",
    "mcnemar",
]

# Largest difference of a probability at which a device still computes what was proven. Kernels on
# another processor add in another order, which changed float32 results by at most 1.5e-6. With int8
# activations that can change a rounding: by at most 0.043 for 10,000 images, on all processors,
# runtimes and kernels tried. Sums that saturate changed the golden vectors by 0.19 or more.
FLOAT_TOLERANCE, QUANTIZED_TOLERANCE = 0.001, 0.08


def accuracy_intervals(correct: Array, totals: Array) -> Array:
    """The 95 % intervals (N, 2) of many accuracies: those of `accuracy_interval`, but fast."""
    from scipy import special

    wrong = totals - correct
    low = special.betaincinv(np.maximum(correct, 1), wrong + 1, 0.025)
    high = special.betaincinv(correct + 1, np.maximum(wrong, 1), 0.975)
    return np.column_stack([np.where(correct > 0, low, 0), np.where(wrong > 0, high, 1)])


def accuracy(predictions: Array, labels: Array) -> tuple[float, tuple[float, float]]:
    """The accuracy and its 95 % interval."""
    correct = int((predictions == labels).sum())
    return correct / len(labels), accuracy_interval(correct, len(labels))
