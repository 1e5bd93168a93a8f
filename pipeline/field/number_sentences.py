"""What the field report says of numbers, for people."""

from __future__ import annotations

from pipeline.field.comparison import SIGNIFICANCE
from pipeline.files.reports.field import (
    FieldCoverage,
    FieldError,
    NoLabelsOfNumbers,
    NumberFieldReport,
)
from pipeline.process.words import counted, percent
from pipeline.reporting.tables import amount, amounts, interval

SMALLEST_P = 1e-6  # smaller p-values are not told apart


def sentences(report: NumberFieldReport) -> list[str]:
    """On the error and on the interval."""
    if not isinstance(report.error, FieldError):
        return [_no_labels(report, report.error)]
    result = [_error(report, report.error)]
    return result + ([_coverage(report.coverage)] if report.coverage else [])


def _error(report: NumberFieldReport, error: FieldError) -> str:
    if error.verdict != "open":
        within = f"within {amount(error.max_increase, report.unit)} of that in the test"
        verdict = within if error.verdict == "holds" else "larger than in the test"
        return f"The mean absolute error in the field is {verdict}: {_figures(report, error)}."
    cure = _too_small(report, error)
    if error.labels_needed is not None:
        missing = max(error.labels_needed - report.labels, 1)
        cure = f"about {missing:,} more labels will probably be enough"
    return f"Too few labels for a verdict; {cure}: mean absolute error {_figures(report, error)}."


def _figures(report: NumberFieldReport, error: FieldError) -> str:
    low, high = error.difference_interval
    significant = "significant" if error.p_value < SIGNIFICANCE else "not significant"
    return (
        f"{amount(error.field_error, report.unit)} (95 % interval "
        f"{amounts(error.interval, report.unit)}) on {report.labels:,} labelled of "
        f"{counted(report.predictions, 'prediction')}, in the test "
        f"{amount(report.test_error, report.unit)}; the difference of {error.difference:+.4g} "
        f"{report.unit} (95 % interval {low:+.4g} to {high:+.4g}) is {significant} "
        f"(Welch's t-test, p {p_value(error.p_value)})"
    )


def _no_labels(report: NumberFieldReport, error: NoLabelsOfNumbers) -> str:
    cure = _too_small(report, error)
    if error.labels_needed is not None:
        cure = (
            f"about {error.labels_needed:,} labels will probably be enough to tell whether it is "
            f"within {amount(error.max_increase, report.unit)} of that in the test"
        )
    return (
        f"None of the {counted(report.predictions, 'prediction')} has a label, "
        f"so the mean absolute error in the field is unknown; {cure}."
    )


def _too_small(report: NumberFieldReport, error: FieldError | NoLabelsOfNumbers) -> str:
    return (
        f"no number of labels can settle an increase of {amount(error.max_increase, report.unit)}, "
        f"because the test set itself has only {report.test_images:,} examples; "
        "increase field.max_error_increase"
    )


def _coverage(coverage: FieldCoverage) -> str:
    promise = f"the {percent(coverage.promised)} that the card promises"
    verdict = f"not significantly fewer than {promise}"
    if coverage.broken:
        verdict = f"significantly fewer than {promise}"
    return (
        f"{percent(coverage.share)} of the true numbers are inside their interval (95 % interval "
        f"{interval(coverage.interval)}), {verdict} (exact binomial test, p "
        f"{p_value(coverage.p_value)})."
    )


def p_value(value: float) -> str:
    return f"= {value:.2g}" if value >= SMALLEST_P else f"< {SMALLEST_P:g}"
