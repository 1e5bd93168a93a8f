"""Metrics, and the statistics behind a verdict."""

from __future__ import annotations

from pipeline.files.artifacts import Array
from serving.gate import accuracy_interval, accuracy_lost_bound, images_needed, mcnemar

__all__ = [
    "FEW_TESTED",
    "FLOAT_TOLERANCE",
    "QUANTIZED_TOLERANCE",
    "accuracy",
    "accuracy_interval",
    "accuracy_lost_bound",
    "expected_interval",
    "images_needed",
    "mcnemar",
]

# Largest difference of a probability at which a device still computes what was proven. Kernels on
# another processor add in another order, which changed float32 results by at most 1.5e-6. With int8
# activations that can change a rounding: by at most 0.043 for 10,000 images, on all processors,
# runtimes and kernels tried. Sums that saturate changed the golden vectors by 0.19 or more.
FLOAT_TOLERANCE, QUANTIZED_TOLERANCE = 0.001, 0.08
FEW_TESTED = 500  # test images; with fewer, the interval of the accuracy is wide


def accuracy(predictions: Array, labels: Array) -> tuple[float, tuple[float, float]]:
    """The accuracy and its 95 % interval."""
    correct = int((predictions == labels).sum())
    return correct / len(labels), accuracy_interval(correct, len(labels))


def expected_interval(share: float, count: int) -> str:
    """The 95 % interval that an accuracy of `share` would have on so many images, in words."""
    low, high = accuracy_interval(round(share * count), count)
    return f"{100 * low:.1f} to {100 * high:.1f} %"
