"""Metrics, and the statistics behind a verdict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline.files.artifacts import Array
from serving import gate
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
    "compare",
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


def compare(
    probabilities: Array,
    reference: Array,
    labels: Array,
    max_accuracy_drop: float,
    test_images: int | None = None,
) -> dict[str, Any]:
    """`serving.gate.compare`, with the `reason` why a file is not proven, for its maker."""
    facts = gate.compare(probabilities, reference, labels, max_accuracy_drop, test_images)
    return with_reason(facts)


def with_reason(
    facts: dict[str, Any], unit: str | None = None, noun: str = "images"
) -> dict[str, Any]:
    """The facts of `serving.gate.compare` with the `reason`; `unit` is that of numbers."""
    if unit is not None:
        facts = {**facts, "unit": unit}
    return facts if facts["state"] == PROVEN else {**facts, "reason": _reason(facts, noun)}


def tolerance(quantized: bool, span: float | None) -> float:
    """How far a golden vector's output may be off elsewhere; `span` is the range of numbers."""
    if span is None:
        return QUANTIZED_TOLERANCE if quantized else FLOAT_TOLERANCE
    return span * (QUANTIZED_SHARE if quantized else FLOAT_SHARE)


def _reason(facts: dict[str, Any], noun: str) -> str:
    """Why a file is not proven, and the cure."""
    if not math.isfinite(facts["largest_difference"]):
        return "some of its outputs are not finite numbers"
    if "unit" in facts:
        return _reason_of_numbers(facts, noun)
    counts = f"{facts['lost']} of {facts['images']:,} {noun} lost, {facts['gained']} gained"
    of_metric, lost, bound = "", facts["accuracy_lost"], facts["accuracy_lost_bound"]
    if "metric" in facts:
        of_metric = f" of {METRICS[facts['metric']['name']].words}"
        lost, bound = facts["metric"]["lost"], facts["metric"]["lost_bound"]
    allowed = f"{100 * facts['max_accuracy_drop']:.2g} %"
    if facts["state"] == WORSE:
        return (
            f"{counts}: a loss of {100 * lost:.2f} %{of_metric}, "
            f"significant or more than the {allowed} allowed; "
            "remove this format from export.formats, or allow more"
        )
    needed = facts["images_needed"]
    cure = f"{allowed} can be shown only if less is lost"
    if needed:
        cure = f"{needed:,} {noun} like these would show {allowed}"
    return (
        f"{counts}: no significant loss, but so few {noun} show only that it is at most "
        f"{100 * bound:.2f} %{of_metric}; {cure}"
    )


def _reason_of_numbers(facts: dict[str, Any], noun: str) -> str:
    unit, images = facts["unit"], f"{facts['images']:,} {noun}"
    allowed = f"{facts['max_error_added']:.3g} {unit}"
    if facts["state"] == WORSE:
        return (
            f"it adds {facts['error_added']:.3g} {unit} to the mean absolute error on {images}, "
            f"significantly or more than the {allowed} allowed; "
            "remove this format from export.formats, or allow more"
        )
    return (
        f"no significant error is added, but {images} show only that it is at most "
        f"{facts['error_added_bound']:.3g} {unit}; {facts['images_needed']:,} {noun} like these "
        f"would show {allowed}"
    )
