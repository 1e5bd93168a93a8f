"""The interval around a file's numbers, by split conformal prediction, and what it holds.

Its half width is an absolute error of the file on the validation set, of such a rank that at least
problem.coverage of new inputs like these have no larger one, with 95 % confidence (Vovk, 2012,
Conditional Validity of Inductive Conformal Predictors, proposition 2a). The usual rank would hold
that only on average over validation sets. The test set, which had no part in it, shows whether the
promise is kept.

All answers of a file have the same width, so a rule that rejects wide intervals would reject all
inputs or none: there is no "none of these" for a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.config.problem import Problem
from pipeline.files.artifacts import Array
from pipeline.files.reports.verify import Coverage, NumberPair
from pipeline.process.words import percent
from pipeline.reporting import statistics
from pipeline.verification import rejection
from pipeline.verification.material import Material
from pipeline.verification.pair import Pair, outputs_by_format


def judge(pairs: Sequence[Pair], material: Material, problem: Problem) -> dict[str, str]:
    """Adds to each report from this processor the interval of its file, and its coverage.

    Returns for each format without an interval the reason.
    """
    if problem.coverage is None:
        return {}
    widths, reasons = fitted(pairs, material, problem.coverage)
    for pair in pairs:
        report = pair.report
        width = widths.get(pair.format)
        if width is None or not isinstance(report, NumberPair) or pair.probabilities is None:
            continue
        rows = material.test_rows(report.images, pair.micro)
        errors = distances(pair.probabilities[: len(rows)], material.labels[rows])
        pair.report = report.changed(coverage=covered(errors, width, problem.coverage))
    return reasons


def fitted(
    pairs: Sequence[Pair], material: Material, coverage: float
) -> tuple[dict[str, float], dict[str, str]]:
    """The half width of each format, from the first runtime that ran it, or why it has none."""
    widths: dict[str, float] = {}
    reasons: dict[str, str] = {}
    labels = material.labels[material.tests :]
    for name, outputs in outputs_by_format(pairs).items():
        validation = outputs[material.tests : len(material.labels)]
        threshold = rejection.for_coverage(-distances(validation, labels), coverage)
        if threshold is None:
            reasons[name] = (
                f"{len(labels):,} validation {material.noun} are too few for an interval that "
                f"holds {percent(coverage)} of new numbers; expected at least "
                f"{rejection.fewest(coverage):,}, so there is none"
            )
        else:
            widths[name] = -threshold
    return widths, reasons


def distances(outputs: Array, labels: Array) -> Array:
    """The absolute errors (N,) of outputs (N, 1)."""
    result: Array = np.abs(outputs[:, 0].astype(np.float64) - labels)
    return result


def covered(errors: Array, width: float, coverage: float) -> Coverage:
    inside, total = int((errors <= width).sum()), len(errors)
    return Coverage.model_validate(
        {
            "half_width": width,
            "images": total,
            "inside": inside,
            "share": inside / total,
            "bound": statistics.accuracy_interval(inside, total, 0.9)[0],
            "state": rejection.share_verdict(total - inside, total, 1 - coverage),
        }
    )
