"""Metrics, and the statistics behind a verdict."""

from __future__ import annotations

import math

import numpy as np

from pipeline.files.artifacts import Array
from serving.comparison import AnyComparison, NumberComparison
from serving.gate import (
    NOT_SHOWN,
    PROVEN,
    WORSE,
    accuracy_interval,
    accuracy_lost_bound,
    images_needed,
    mcnemar,
    mean_interval,
)
from serving.metric import METRICS

__all__ = [
    "FEW_TESTED",
    "FLOAT_TOLERANCE",
    "NOT_SHOWN",
    "PROVEN",
    "QUANTIZED_TOLERANCE",
    "WORSE",
    "accuracy",
    "accuracy_interval",
    "accuracy_intervals",
    "accuracy_lost_bound",
    "expected_interval",
    "images_needed",
    "mcnemar",
    "mean_interval",
]

# Largest difference of a probability at which a device still computes what was proven. Kernels on
# another processor add in another order, which changed float32 results by at most 1.5e-6. With int8
# activations that can change a rounding: by at most 0.043 for 10,000 images, on all processors,
# runtimes and kernels tried. Sums that saturate changed the golden vectors by 0.19 or more.
FLOAT_TOLERANCE, QUANTIZED_TOLERANCE = 0.001, 0.08
# The same for numbers, as a share of their range. For the rotation of digits, Nehalem changed them
# by at most 0.0000002 of it with float32, and by 0.0033 with int8.
FLOAT_SHARE, QUANTIZED_SHARE = 0.0001, 0.02
FEW_TESTED = 500  # test images; with fewer, the interval of the accuracy is wide


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


def expected_interval(share: float, count: int) -> str:
    """The 95 % interval, in words, that an accuracy of `share` would have on `count` images."""
    low, high = accuracy_interval(round(share * count), count)
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def tolerance(quantized: bool, span: float | None) -> float:
    """How far a golden vector's output may be off elsewhere; `span` is the range of numbers."""
    if span is None:
        return QUANTIZED_TOLERANCE if quantized else FLOAT_TOLERANCE
    return span * (QUANTIZED_SHARE if quantized else FLOAT_SHARE)


def reason(comparison: AnyComparison, unit: str | None = None, noun: str = "images") -> str | None:
    """Why a file is not proven, and the cure, for its maker; None of one that is.

    `unit` is that of numbers, `noun` what several inputs are called.
    """
    if comparison.state == PROVEN:
        return None
    if not math.isfinite(comparison.largest_difference):
        return "some of its outputs are not finite numbers"
    if isinstance(comparison, NumberComparison):
        return _reason_of_numbers(comparison, unit, noun)
    counts = f"{comparison.lost} of {comparison.images:,} {noun} lost, {comparison.gained} gained"
    metric, allowed = comparison.metric, f"{100 * comparison.allowed:.2g} %"
    of_metric = f" of {METRICS[metric.name].words}" if metric else ""
    if comparison.state == WORSE:
        return (
            f"{counts}: a loss of {100 * comparison.loss:.2f} %{of_metric}, "
            f"significant or more than the {allowed} allowed; "
            "remove this format from export.formats, or allow more"
        )
    cure = f"{allowed} can be shown only if less is lost"
    if comparison.images_needed:
        cure = f"{comparison.images_needed:,} {noun} like these would show {allowed}"
    return (
        f"{counts}: no significant loss, but so few {noun} show only that it is at most "
        f"{100 * comparison.bound:.2f} %{of_metric}; {cure}"
    )


def _reason_of_numbers(comparison: NumberComparison, unit: str | None, noun: str) -> str:
    images, allowed = f"{comparison.images:,} {noun}", f"{comparison.allowed:.3g} {unit}"
    if comparison.state == WORSE:
        return (
            f"it adds {comparison.error_added:.3g} {unit} to the mean absolute error on {images}, "
            f"significantly or more than the {allowed} allowed; "
            "remove this format from export.formats, or allow more"
        )
    return (
        f"no significant error is added, but {images} show only that it is at most "
        f"{comparison.bound:.3g} {unit}; {comparison.images_needed:,} {noun} like these "
        f"would show {allowed}"
    )
