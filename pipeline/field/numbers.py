"""Judges a model that answers with a number: its error in its unit, and its interval."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import stats

from pipeline.config.device_files import InTheField
from pipeline.field import comparison, facts
from pipeline.field.comparison import Difference, Mean
from pipeline.field.observations import Observations
from pipeline.files.artifacts import Array
from pipeline.files.reports.field import (
    FieldCoverage,
    FieldError,
    NoLabelsOfNumbers,
    NumberFieldReport,
)
from pipeline.reporting import statistics

FEWEST_LABELS = 10  # fewer are no verdict, as they may be unusual


def judge(observed: Observations, settings: InTheField) -> NumberFieldReport:
    """The report on one model, without its sentences; no drift if the card has no spread.

    Raises UserError.
    """
    proof, number = observed.proof, observed.card.number
    assert number
    assert proof.error is not None
    assert proof.error_interval
    test = in_the_test(proof.error, proof.error_interval, observed.test_images)
    known = observed.labelled
    errors = np.abs(observed.predicted - observed.labels)[known]
    allowed = settings.max_error_increase or number.max_error_added
    return NumberFieldReport(
        **facts.in_use(observed, number.spread, settings.false_alarms),
        test_images=test.count,
        unit=number.unit,
        test_error=proof.error,
        error=error(errors, test, allowed),
        coverage=coverage(errors, observed.file.interval, number.coverage),
    )


def in_the_test(value: float, interval: tuple[float, float], images: int) -> Mean:
    """The error on the test set; its interval is Student's, so it gives the standard error."""
    margin = (interval[1] - interval[0]) / 2
    return Mean(value, margin / float(stats.t.ppf(0.975, max(images - 1, 1))), images)


def error(errors: Array, test: Mean, allowed: float) -> FieldError | NoLabelsOfNumbers:
    """The verdict on errors (N,) of labelled predictions, by Welch's t-test; the labels missing.

    `allowed` is how much larger than in the test the mean error may be. The deviation in the field
    is taken to be at least that of the test, so that a few equal errors prove nothing.
    """
    count = len(errors)
    deviation = test.standard_error * test.count**0.5
    needed = _needed(deviation, test, allowed)
    if not count:
        return NoLabelsOfNumbers(verdict="no labels", max_increase=allowed, labels_needed=needed)
    low, high = statistics.mean_interval(errors)
    spread = max(float(errors.std(ddof=1)) if count > 1 else float(errors[0]), deviation)
    difference = comparison.welch(Mean(float(errors.mean()), spread / count**0.5, count), test)
    verdict = _verdict(difference, count, allowed)
    if needed is not None and count >= needed and verdict == "open":
        # The field is probably a little worse, so the labels are estimated again from its errors.
        effect = max(allowed - difference.difference, difference.difference)
        needed = _needed(spread, test, effect)
    return FieldError(
        verdict=verdict,
        field_error=float(errors.mean()),
        interval=(max(low, 0.0), high),
        difference=difference.difference,
        difference_interval=difference.interval,
        p_value=difference.p_value,
        max_increase=allowed,
        labels_needed=needed if verdict == "open" else None,
    )


def _verdict(
    difference: Difference, count: int, allowed: float
) -> Literal["holds", "worse", "open"]:
    if count < FEWEST_LABELS:
        return "open"
    if difference.interval[1] < allowed:
        return "holds"
    significant = difference.p_value < comparison.SIGNIFICANCE and difference.difference > 0
    return "worse" if significant else "open"


def _needed(deviation: float, test: Mean, effect: float) -> int | None:
    needed = comparison.labels_for_error(deviation, test, effect)
    return None if needed is None else max(needed, FEWEST_LABELS)


def coverage(
    errors: Array, half_width: float | None, promised: float | None
) -> FieldCoverage | None:
    """The true numbers inside their interval, against the share that the card promises.

    The p-value is that of the exact binomial test for fewer. None without interval or labels.
    """
    if half_width is None or promised is None or not len(errors):
        return None
    inside, total = int((errors <= half_width).sum()), len(errors)
    p_value = float(stats.binomtest(inside, total, promised, alternative="less").pvalue)
    return FieldCoverage(
        half_width=half_width,
        inside=inside,
        share=inside / total,
        interval=statistics.accuracy_interval(inside, total),
        promised=promised,
        p_value=p_value,
        broken=p_value < comparison.SIGNIFICANCE,
    )
