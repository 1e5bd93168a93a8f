"""How good a recipe is, by the answers of several folds to examples that they had never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.reports.evaluate import Evaluation, EvaluationReport, FoldScore
from pipeline.process.words import percent
from pipeline.reporting.metrics import ACCURACY, Judged
from pipeline.reporting.tables import interval as bounds_in_words

KEY = "score_of_folds"  # of `remark` in the provenance of the model card


def by_accuracy(right: Array) -> Judged:
    """Answers of any target, of which it is known whether each is right (N,)."""
    return Judged(ACCURACY, right.astype(int), np.ones(len(right), int), 2)


def score(parts: Sequence[Judged]) -> FoldScore:
    """The score of the folds; a part holds the answers to the held-out examples of one.

    The value is that of all answers together, as the mean of macro F1 over folds would be biased
    (Forman and Scholz, 2010, SIGKDD Explorations 12(1):49-57). The interval is the wider one of
    two: that of the answers, if all models are equally good, and that of the mean over the folds,
    if they differ.
    """
    answers, labels = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("answers", "labels")
    )
    together = replace(parts[0], answers=answers, labels=labels)
    low, high = together.interval
    low_of_mean, high_of_mean = interval([part.value for part in parts])
    return FoldScore(
        name=together.name,
        folds=len(parts),
        images=len(labels),
        value=together.value,
        interval=(min(low, low_of_mean), max(high, high_of_mean)),
    )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean over k folds, for a model trained on another split."""
    mean, half = float(np.mean(values)), half_width(values)
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
        f"The {score.words} is {percent(score.value)} (95 % interval "
        f"{bounds_in_words(score.interval)}): models of {score.folds} folds, trained by the same "
        f"recipe, answered {score.images:,} examples that they never saw."
    )


def remark(report: Evaluation) -> str:
    """What the folds say, and whether the baseline is beaten; empty without folds."""
    if not isinstance(report, EvaluationReport) or report.folds is None:
        return ""
    text = f"{sentence(report.folds)} The test {report.score.words} is that of this very model."
    return f"{text} {baseline(report)}." if report.gate.baseline_not_shown else text


def baseline(report: EvaluationReport) -> str:
    """Says that the test images do not show whether the model beats the baseline."""
    gate = report.gate
    return (
        f"{report.test_images:,} test examples are too few to show that the model beats the "
        f"baseline's {percent(report.score.baseline)} (p = {gate.baseline_p_value:.3f})"
    )
