"""The field report in sentences, for people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.field import number_sentences
from pipeline.field.comparison import SIGNIFICANCE
from pipeline.field.number_sentences import p_value
from pipeline.files.reports.field import (
    FieldAccuracy,
    FieldClass,
    FieldDrift,
    FieldRejection,
    FieldReport,
    InUse,
    NoLabels,
    NumberFieldReport,
)
from pipeline.process.words import counted, percent
from pipeline.reporting.tables import interval

LARGE, SMALL = 0.25, 0.1  # of the population stability index
# If only a drift of a larger share of predictions would show, there are too few predictions.
FEW = 0.25


def sentences(report: InUse) -> list[str]:
    """The sentences, most important first."""
    if isinstance(report, NumberFieldReport):
        result = number_sentences.sentences(report)
    else:
        assert isinstance(report, FieldReport)
        result = _of_answers(report)
    result.append(_drift(report))
    if report.unreadable:
        pictures = counted(len(report.unreadable), "picture")
        result.append(f"{pictures} could not be read: {report.unreadable[0]}.")
    return result


def _of_answers(report: FieldReport) -> list[str]:
    """On answers that are right or wrong."""
    accuracy = report.accuracy
    if isinstance(accuracy, FieldAccuracy):
        each = _labels(report) if report.per_label else _classes(report.classes)
        result = [VERDICTS[accuracy.verdict](report, accuracy), each]
    else:
        result = [_no_labels(report, accuracy)]
    if report.rejection:
        result.append(_rejection(report.rejection, report.predictions))
    return result


def _rejection(rejection: FieldRejection, predictions: int) -> str:
    share = (
        f"{percent(rejection.share)} of the {predictions:,} predictions are none of the classes "
        f"(95 % interval {interval(rejection.interval)})"
    )
    expected = rejection.expected_share
    if expected is None or rejection.p_value is None:
        return f"{share}; the card promises no coverage to compare with."
    test = f"{percent(expected)} by the card (Fisher's exact test, p {p_value(rejection.p_value)})"
    if not rejection.departs:
        return f"{share}, not significantly different from the {test}."
    more = "more" if rejection.share > expected else "fewer"
    return f"{share}, significantly {more} than the {test}."


def _figures(report: FieldReport, accuracy: FieldAccuracy) -> str:
    low, high = (100 * bound for bound in accuracy.difference_interval)
    significant = "significant" if accuracy.p_value < SIGNIFICANCE else "not significant"
    return (
        f"field {report.score} {percent(accuracy.field_accuracy)} "
        f"(95 % interval {interval(accuracy.interval)}) "
        f"on {report.labels:,} labelled of {counted(report.predictions, 'prediction')}, "
        f"test {report.score} {percent(report.test_accuracy)}; "
        f"the difference of {100 * accuracy.difference:+.2f} points "
        f"(95 % interval {low:+.2f} to {high:+.2f}, Newcombe) is {significant} "
        f"(Fisher's exact test, p {p_value(accuracy.p_value)})"
    )


def _holds(report: FieldReport, accuracy: FieldAccuracy) -> str:
    figures = _figures(report, accuracy)
    return f"Field {report.score} is within {_points(accuracy)} of test {report.score}: {figures}."


def _worse(report: FieldReport, accuracy: FieldAccuracy) -> str:
    score = report.score
    return f"Field {score} is worse than test {score}: {_figures(report, accuracy)}."


def _open(report: FieldReport, accuracy: FieldAccuracy) -> str:
    needed = accuracy.labels_needed
    if needed is None:
        cure = _too_small(report, accuracy)
    else:
        missing = max(needed - report.labels, 1)
        cure = f"about {missing:,} more labels will probably be enough"
    return f"Too few labels for a verdict; {cure}: {_figures(report, accuracy)}."


def _no_labels(report: FieldReport, accuracy: NoLabels) -> str:
    needed = accuracy.labels_needed
    if needed is None:
        cure = _too_small(report, accuracy)
    else:
        cure = (
            f"about {needed:,} labels will probably be enough to tell "
            f"whether it is within {_points(accuracy)} of test {report.score}"
        )
    return (
        f"None of the {counted(report.predictions, 'prediction')} has a label, "
        f"so field {report.score} is unknown; {cure}."
    )


def _too_small(report: FieldReport, accuracy: FieldAccuracy | NoLabels) -> str:
    return (
        f"no number of labels can settle a drop of {_points(accuracy)}, "
        f"because the test set itself has only {report.test_images:,} examples; "
        "increase field.max_accuracy_drop"
    )


def _points(accuracy: FieldAccuracy | NoLabels) -> str:
    """The largest acceptable drop, in percentage points."""
    drop = 100 * accuracy.max_accuracy_drop
    return f"{drop:g} point{'' if drop == 1 else 's'}"


VERDICTS: dict[str, Callable[[FieldReport, FieldAccuracy], str]] = {
    "holds": _holds,
    "worse": _worse,
    "open": _open,
}


def _classes(classes: list[FieldClass]) -> str:
    worse = sorted((row for row in classes if row.suffers), key=lambda row: row.p_value or 0.0)
    if not worse:
        return (
            "No single class is significantly worse than in the test "
            "(Fisher's exact test for each, Holm)."
        )
    descriptions = ", ".join(
        f"{row.name} ({row.right} of {row.labels} right, "
        f"{percent(row.test_right / row.test_images)} in the test)"
        for row in worse
    )
    return f"Significantly worse classes (Fisher's exact test for each, Holm): {descriptions}."


def _labels(report: FieldReport) -> str:
    """The mean F1 of the labels, and those that are found less well."""
    if report.macro_f1 is None:
        return "No label occurs in the labelled predictions, so F1 is unknown."
    before = report.test_macro_f1 or 0.0
    macro = f"Macro F1 of the labels is {percent(report.macro_f1)}, in the test {percent(before)}"
    suffering = [row for row in report.per_label if row.suffers]
    worse = sorted(suffering, key=lambda row: row.p_value or 0)
    if not worse:
        return (
            f"{macro}; no single label is significantly worse than in the test "
            "(Fisher's exact test of F1 for each, Holm)."
        )
    descriptions = ", ".join(
        f"{row.label} (F1 {percent(row.field.f1 or 0)}, {percent(row.test.f1 or 0)} in the test)"
        for row in worse
    )
    return (
        f"{macro}; significantly worse labels (Fisher's exact test of F1 for each, Holm): "
        f"{descriptions}."
    )


def _drift(report: InUse) -> str:
    if not report.drift:
        return (
            f"The card of {report.model} {report.version} does not say how its numbers are spread "
            "in the test, so drift is unknown; `dvc repro` packs the bundle again."
        )
    alarms = sorted(
        (test for test in report.drift if test.alarm),
        key=lambda test: -test.population_stability,
    )
    least, count = f"{100 * report.least_drift:.0f} %", report.predictions
    if not alarms and report.least_drift > FEW:
        return (
            f"Too few predictions to detect drift: with {count:,}, "
            f"only a drift of at least {least} of them would show."
        )
    if not alarms:
        return (
            f"No drift of inputs or predictions in {len(report.drift)} tests; "
            f"a drift of less than {least} of the {count:,} predictions would not show."
        )
    names = report.names if isinstance(report, FieldReport) else []
    return f"Drift since the test: {', '.join(_describe_drift(test, names) for test in alarms)}."


def _describe_drift(test: FieldDrift, classes: list[str]) -> str:
    size, p = _size(test.population_stability), p_value(test.p_value)
    return f"{test.of} ({_change(test, classes)}; {size}, p {p})"


def _change(test: FieldDrift, classes: list[str]) -> str:
    """What changed: the share of the class that changed most, or the medians.

    If the medians are unknown or equal, the share below the edge where it changed most.
    """
    field, before = test.shares
    if test.edges is None:
        row = int(np.abs(field - before).argmax())
        return f"{classes[row]} {100 * field[row]:.0f} % instead of {100 * before[row]:.0f} %"
    if test.medians is not None:
        now, then = test.medians
        if then is not None and f"{now:.3g}" != f"{then:.3g}":
            direction = "higher" if now > then else "lower"
            difference = f"{direction} by {abs(now - then):.3g}"
            return f"{difference}: median {now:.3g} instead of {then:.3g}"
    below, expected = np.cumsum(field)[:-1], np.cumsum(before)[:-1]
    row = int(np.abs(below - expected).argmax())
    share, usual = 100 * below[row], 100 * expected[row]
    return f"{share:.0f} % below {test.edges[row]:g} instead of {usual:.0f} %"


def _size(stability: float) -> str:
    return "large" if stability > LARGE else "medium" if stability > SMALL else "small"
