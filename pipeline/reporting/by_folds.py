"""The accuracy of a recipe, from examples that the models of several folds had never seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.reports.evaluate import Evaluation, EvaluationReport, FoldScore
from pipeline.process.words import percent
from pipeline.reporting import statistics
from pipeline.reporting.tables import interval as bounds_in_words

# In every place, so that it is not taken for the accuracy of one model on the test set.
NAME = "cross-validated accuracy of the recipe"
KEY = "accuracy_of_folds"  # of `remark` in the provenance of the model card


def score(parts: Sequence[Array]) -> FoldScore:
    """Each part (N,) says which held-out examples of a fold are answered right.

    The interval is the wider one of two: that of a proportion, if all models are equally good, and
    that of the mean over the folds, if they differ.
    """
    right = np.concatenate(parts)
    hits = int(right.sum())
    low, high = statistics.accuracy_interval(hits, len(right))
    low_of_mean, high_of_mean = interval([float(part.mean()) for part in parts])
    return FoldScore(
        folds=len(parts),
        images=len(right),
        right=hits,
        accuracy=hits / len(right),
        interval=(min(low, low_of_mean), max(high, high_of_mean)),
    )


def interval(accuracies: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean over k folds, for a model trained on another split."""
    mean, half = float(np.mean(accuracies)), half_width(accuracies)
    return max(mean - half, 0.0), min(mean + half, 1.0)


def half_width(values: Sequence[float]) -> float:
    """Half the 95 % interval of the mean over k folds.

    The folds share training examples, which makes the plain t interval too narrow. Its variance
    s^2 / k becomes s^2 (1/k + 1/(k-1)), where 1/(k-1) is the ratio of validation to training
    examples (Nadeau and Bengio, 2003, Machine Learning 52:239-281, equation 10).
    """
    from scipy import special

    k = len(values)
    deviation = np.std(values, ddof=1) * np.sqrt(1 / k + 1 / (k - 1))
    return float(special.stdtrit(k - 1, 0.975) * deviation)


def sentence(score: FoldScore) -> str:
    return (
        f"The {NAME} is {percent(score.accuracy)} (95 % interval "
        f"{bounds_in_words(score.interval)}): models of {score.folds} folds, trained by the same "
        f"recipe, answered {score.images:,} examples that they never saw."
    )


def remark(report: Evaluation) -> str:
    """What the folds say, and whether the baseline is beaten; empty without folds."""
    if not isinstance(report, EvaluationReport) or report.folds is None:
        return ""
    said = f"{sentence(report.folds)} The test accuracy is that of this very model."
    return f"{said} {baseline(report)}." if report.gate.baseline_not_shown else said


def baseline(report: EvaluationReport) -> str:
    """Says that the test images do not show whether the model beats the baseline."""
    gate = report.gate
    return (
        f"{report.test_images:,} test examples are too few to show that the model beats the "
        f"baseline's {percent(gate.baseline_accuracy)} (p = {gate.baseline_p_value:.3f})"
    )
