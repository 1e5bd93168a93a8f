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
    "confusion",
    "images_needed",
    "mcnemar",
    "per_class",
]

# Largest difference of a probability at which a device still computes what was proven. Kernels on
# another processor add in another order, which changed float32 results by at most 1.5e-6. With int8
# activations that can change a rounding: by at most 0.043 for 10,000 images, on all processors,
# runtimes and kernels tried. Sums that saturate changed the golden vectors by 0.19 or more.
FLOAT_TOLERANCE, QUANTIZED_TOLERANCE = 0.001, 0.08


def accuracy(predictions: Array, labels: Array) -> tuple[float, tuple[float, float]]:
    """The accuracy and its 95 % interval."""
    correct = int((predictions == labels).sum())
    return correct / len(labels), accuracy_interval(correct, len(labels))


def confusion(predictions: Array, labels: Array, num_classes: int) -> Array:
    """Counts (K, K): row = true class, column = predicted class."""
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def per_class(matrix: Array, class_names: list[str]) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 of each class; 0 if the class was never predicted or never seen."""
    hits = matrix.diagonal()
    precision = hits / np.maximum(matrix.sum(0), 1)
    recall = hits / np.maximum(matrix.sum(1), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    columns = zip(class_names, precision, recall, f1, strict=True)
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f)}
        for name, p, r, f in columns
    }
