"""Judges one model in use: its accuracy, degraded classes, drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.bundle import drift_reference
from pipeline.config.device_files import InTheField
from pipeline.field import comparison, rejection
from pipeline.field.comparison import Difference
from pipeline.field.observations import UNKNOWN, Observations, check_target
from pipeline.files.artifacts import Array
from pipeline.files.reports.field import (
    FieldAccuracy,
    FieldClass,
    FieldDrift,
    FieldReport,
    NoLabels,
)
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from serving import inputs
from serving.model_card import Histogram, Reference

# Fewer mistakes than this are no verdict against the model: one or two may be wrong labels, or
# images that were sent in because they are unusual.
FEWEST_MISTAKES = 3


def judge(observed: Observations, settings: InTheField) -> FieldReport:
    """The report on one model, without its sentences."""
    card = observed.card
    check_target(card)
    if card.reference is None:
        raise UserError(
            f"the card of {card.name} {card.version} has no reference; "
            "rebuild the bundle with `dvc repro`"
        )
    model_sha256 = card.provenance.get("model_sha256")
    if not isinstance(model_sha256, str):
        raise UserError(
            f"the card of {card.name} {card.version} does not name its model; "
            "rebuild the bundle with `dvc repro`"
        )
    proof = next(proof for proof in observed.file.proofs if proof.runtime == observed.runtime)
    assert proof.accuracy is not None
    test_right = round(proof.accuracy * proof.images)
    labelled = observed.labels != UNKNOWN
    right = (observed.predicted == observed.labels)[labelled]
    return FieldReport(
        model=card.name,
        version=card.version,
        model_sha256=model_sha256,
        format=observed.file.format,
        runtime=observed.runtime,
        predictions=len(labelled),
        labels=int(labelled.sum()),
        test_accuracy=proof.accuracy,
        test_images=proof.images,
        unreadable=observed.unreadable,
        accuracy=accuracy(right, test_right, proof.images, settings.max_accuracy_drop),
        classes=classes(observed.labels[labelled], right, card.reference, card.class_names),
        drift=drift(observed, card.reference, settings.false_alarms),
        least_drift=least_drift(observed, card.reference, settings.false_alarms),
        rejection=rejection.judge(observed, settings.false_alarms),
    )


def accuracy(
    right: Array, test_right: int, test_images: int, max_drop: float
) -> FieldAccuracy | NoLabels:
    """The verdict on labelled predictions: holds, worse, open or no labels; and the labels missing.

    `right` (N,) says which of them are right.
    """
    count, hits, test_accuracy = len(right), int(right.sum()), test_right / test_images
    needed = comparison.labels_needed(test_accuracy, test_right, test_images, max_drop)
    if not count:
        return NoLabels(verdict="no labels", max_accuracy_drop=max_drop, labels_needed=needed)
    difference = comparison.difference(hits, count, test_right, test_images)
    verdict = _verdict(difference, count - hits, max_drop)
    # Open despite enough labels: the field is probably a little worse than the test, so the number
    # of labels is estimated again from the field accuracy.
    if needed is not None and count >= needed and verdict == "open":
        needed = comparison.labels_needed(hits / count, test_right, test_images, max_drop)
    return FieldAccuracy(
        verdict=verdict,
        field_accuracy=hits / count,
        interval=statistics.accuracy_interval(hits, count),
        difference=difference.difference,
        difference_interval=difference.interval,
        p_value=difference.p_value,
        max_accuracy_drop=max_drop,
        labels_needed=needed if verdict == "open" else None,
    )


def _verdict(
    difference: Difference, mistakes: int, max_drop: float
) -> Literal["holds", "worse", "open"]:
    if difference.interval[0] > -max_drop:
        return "holds"
    significant = difference.p_value < comparison.SIGNIFICANCE and difference.difference < 0
    return "worse" if significant and mistakes >= FEWEST_MISTAKES else "open"


def classes(
    labels: Array, right: Array, expected: Reference, class_names: list[str]
) -> list[FieldClass]:
    """The figures of each class, and whether it is recognised less often than in the test.

    Fisher's exact test, p-values adjusted after Holm.
    """
    shown = np.bincount(labels, minlength=len(class_names)).tolist()
    hits = np.bincount(labels[right], minlength=len(class_names)).tolist()
    tested = [row for row in range(len(class_names)) if shown[row] and expected.images[row]]
    p_values = [
        comparison.p_value_of_decline(
            hits[row], shown[row], expected.right[row], expected.images[row]
        )
        for row in tested
    ]
    adjusted = dict(zip(tested, comparison.holm(p_values), strict=True))
    return [
        FieldClass.model_validate(
            {
                "class": name,
                "labels": shown[row],
                "right": hits[row],
                "test_images": expected.images[row],
                "test_right": expected.right[row],
                "p_value": adjusted.get(row),
                "suffers": adjusted.get(row, 1.0) < comparison.SIGNIFICANCE
                and shown[row] - hits[row] >= FEWEST_MISTAKES,
            }
        )
        for row, name in enumerate(class_names)
    ]


@dataclass(frozen=True)
class DriftTest:
    """One property of inputs or predictions, counted in bins (B,) in the field and in the test."""

    name: str
    field: Array
    test: Array
    p_value: float
    edges: list[float] | None = None
    medians: tuple[float, float | None] | None = None


def drift(observed: Observations, expected: Reference, false_alarms: float) -> list[FieldDrift]:
    """Whether inputs and predictions are distributed as in the test set; needs no labels.

    The p-values are adjusted together after Holm.
    """
    tests = _drift_tests(observed, expected)
    adjusted = comparison.holm([test.p_value for test in tests])
    return [
        FieldDrift(
            of=test.name,
            p_value=p_value,
            alarm=p_value < false_alarms,
            population_stability=comparison.population_stability(test.field, test.test),
            medians=test.medians,
            edges=test.edges,
            field=test.field.tolist(),
            test=test.test.tolist(),
        )
        for test, p_value in zip(tests, adjusted, strict=True)
    ]


def _drift_tests(observed: Observations, expected: Reference) -> list[DriftTest]:
    card = observed.card
    names = inputs.statistic_names(card.input_shape, card.input.type)
    tests = []
    for name, values in zip(names, observed.statistics.T, strict=True):
        histogram = expected.inputs[name]
        medians = float(np.median(values)), drift_reference.median(histogram)
        tests.append(_distribution_test(name, values, histogram, medians))
    tests.append(_distribution_test("confidence", observed.confidence, expected.confidence))
    predicted = np.bincount(observed.predicted, minlength=len(card.class_names))
    before = np.array(expected.predicted)
    p_value = comparison.class_shares(predicted, before)
    return [*tests, DriftTest("predicted class", predicted, before, p_value)]


def _distribution_test(
    name: str,
    values: Array,
    histogram: Histogram,
    medians: tuple[float, float | None] | None = None,
) -> DriftTest:
    counts = drift_reference.count(values, histogram.edges)
    before = np.array(histogram.counts)
    p_value = comparison.kolmogorov_smirnov(counts, before)
    return DriftTest(name, counts, before, p_value, histogram.edges, medians)


def least_drift(observed: Observations, expected: Reference, false_alarms: float) -> float:
    """The smallest share of predictions that must drift to raise an alarm at this sample size."""
    tests = len(expected.inputs) + 2  # confidence and predicted class
    return comparison.least_distance(
        len(observed.predicted), sum(expected.predicted), false_alarms / tests
    )


def figures(report: FieldReport) -> dict[str, float]:
    """The metrics for MLflow that are compared between evaluations."""
    metrics: dict[str, float] = {
        "field_predictions": report.predictions,
        "field_labels": report.labels,
    }
    accuracy = report.accuracy
    if isinstance(accuracy, FieldAccuracy):
        low, high = accuracy.interval
        metrics |= {
            "field_accuracy": accuracy.field_accuracy,
            "field_accuracy_low": low,
            "field_accuracy_high": high,
            "field_accuracy_difference": accuracy.difference,
            "field_p_value": accuracy.p_value,
        }
    if report.rejection:
        metrics["field_rejected_share"] = report.rejection.share
    metrics["field_drift_alarms"] = len(report.alarms)
    return metrics | {
        f"field_stability.{test.of.replace(' ', '_')}": test.population_stability
        for test in report.drift
    }
