"""Judges a model whose answers are right or wrong: one class of several, or several labels."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipeline import targets
from pipeline.config.device_files import InTheField
from pipeline.field import comparison, facts, labels, rejection
from pipeline.field.comparison import Difference
from pipeline.field.observations import Observations
from pipeline.files.artifacts import Array
from pipeline.files.reports.field import FieldAccuracy, FieldClass, FieldReport, NoLabels
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from serving.reference import Reference


def judge(observed: Observations, settings: InTheField) -> FieldReport:
    """The report on one model, without its sentences. Raises UserError."""
    card = observed.card
    if card.reference is None:
        raise UserError(
            f"the card of {card.name} {card.version} has no reference; "
            "rebuild the bundle with `dvc repro`"
        )
    proof, tested = observed.proof, observed.test_images
    assert proof.accuracy is not None
    test_right = round(proof.accuracy * tested)
    target = targets.recognition(card.target)
    answers, true = observed.predicted[observed.labelled], observed.labels[observed.labelled]
    right = target.right(answers, true)
    several = true.ndim == 2
    expected, names = card.reference, card.class_names
    return FieldReport(
        **facts.in_use(observed, card.reference, settings.false_alarms),
        test_images=tested,
        score=target.RIGHT,
        test_accuracy=proof.accuracy,
        accuracy=accuracy(right, test_right, tested, settings.max_accuracy_drop),
        classes=[] if several else classes(true, right, expected, names),
        per_label=labels.judge(target.counts(answers, true, len(names)), expected, names)
        if several
        else [],
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
    return "worse" if significant and mistakes >= comparison.FEWEST_MISTAKES else "open"


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
                and shown[row] - hits[row] >= comparison.FEWEST_MISTAKES,
            }
        )
        for row, name in enumerate(class_names)
    ]
