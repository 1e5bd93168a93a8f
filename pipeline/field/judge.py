"""Judges one model in use, by what it answers; and the figures of a report for MLflow."""

from __future__ import annotations

from pipeline.config.device_files import InTheField
from pipeline.field import numbers, recognition
from pipeline.field.observations import Observations
from pipeline.files.reports.field import (
    FieldAccuracy,
    FieldError,
    FieldReport,
    InUse,
    NumberFieldReport,
)


def judge(observed: Observations, settings: InTheField) -> InUse:
    """The report on one model, without its sentences. Raises UserError."""
    if observed.card.number:
        return numbers.judge(observed, settings)
    return recognition.judge(observed, settings)


def figures(report: InUse) -> dict[str, float]:
    """The metrics for MLflow that are compared between evaluations."""
    metrics: dict[str, float] = {
        "field_predictions": report.predictions,
        "field_labels": report.labels,
    }
    if isinstance(report, FieldReport):
        metrics |= _of_accuracy(report)
    if isinstance(report, NumberFieldReport):
        metrics |= _of_error(report)
    metrics["field_drift_alarms"] = len(report.alarms)
    return metrics | {
        f"field_stability.{test.of.replace(' ', '_')}": test.population_stability
        for test in report.drift
    }


def _of_accuracy(report: FieldReport) -> dict[str, float]:
    metrics: dict[str, float] = {}
    if isinstance(report.accuracy, FieldAccuracy):
        metrics |= _compared("accuracy", report.accuracy.field_accuracy, report.accuracy)
    if report.macro_f1 is not None:
        metrics["field_macro_f1"] = report.macro_f1
    if report.rejection:
        metrics["field_rejected_share"] = report.rejection.share
    return metrics


def _of_error(report: NumberFieldReport) -> dict[str, float]:
    metrics: dict[str, float] = {}
    if isinstance(report.error, FieldError):
        metrics |= _compared("error", report.error.field_error, report.error)
    if report.coverage:
        metrics["field_coverage"] = report.coverage.share
    return metrics


def _compared(score: str, value: float, compared: FieldAccuracy | FieldError) -> dict[str, float]:
    low, high = compared.interval
    return {
        f"field_{score}": value,
        f"field_{score}_low": low,
        f"field_{score}_high": high,
        f"field_{score}_difference": compared.difference,
        "field_p_value": compared.p_value,
    }
