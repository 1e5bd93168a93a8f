"""How good a recipe is, by the answers of several folds to examples that they had never seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.files.reports.evaluate import Evaluation, EvaluationReport, FoldScore
from pipeline.process.words import percent
from pipeline.reporting.measure import Judged, Measure

KEY = "score_of_folds"  # of `remark` in the provenance of the model card


def score(parts: Sequence[Judged]) -> FoldScore:
    """The score of the folds; a part holds the answers to the held-out examples of one.

    The value is that of all answers together, as the mean of macro F1 over folds would be biased
    (Forman and Scholz, 2010, SIGKDD Explorations 12(1):49-57). The interval is the wider one of
    two: that of the answers, if all models are equally good, and that of the mean over the folds,
    if they differ.
    """
    together = parts[0].joined(parts[1:])
    low, high = together.interval
    low_of_mean, high_of_mean = interval([part.value for part in parts], together.measure)
    return FoldScore(
        name=together.name,
        unit=together.measure.unit,
        folds=len(parts),
        images=len(together),
        value=together.value,
        interval=(min(low, low_of_mean), max(high, high_of_mean)),
    )


def interval(values: Sequence[float], measure: Measure) -> tuple[float, float]:
    """The 95 % interval of the mean over k folds, for a model trained on another split."""
    return measure.bounded(float(np.mean(values)), half_width(values))


def p_value(parts: Sequence[Judged], others: Sequence[Judged]) -> float:
    """The two-sided p-value of a difference on the same examples, fold by fold.

    As with the interval, the larger one of two: that of the answers, and that of the means of the
    folds, which share training examples.
    """
    from scipy import special

    of_answers = parts[0].joined(parts[1:]).p_values(others[0].joined(others[1:]), paired=True)
    differences = [part.value - other.value for part, other in zip(parts, others, strict=True)]
    mean, deviation = abs(float(np.mean(differences))), standard_error(differences)
    if not deviation:
        return min(1.0, 2 * min(of_answers))
    of_means = 2 * float(special.stdtr(len(differences) - 1, -mean / deviation))
    return max(of_means, min(1.0, 2 * min(of_answers)))


def half_width(values: Sequence[float]) -> float:
    """Half the 95 % interval of the mean over k folds."""
    from scipy import special

    return float(special.stdtrit(len(values) - 1, 0.975) * standard_error(values))


def standard_error(values: Sequence[float]) -> float:
    """Of the mean over k folds.

    The folds share training examples, which makes the plain t interval too narrow. Its variance
    s^2 / k becomes s^2 (1/k + 1/(k-1)), where 1/(k-1) is the ratio of validation to training
    examples (Nadeau and Bengio, 2003, Machine Learning 52:239-281, equation 10).
    """
    k = len(values)
    return float(np.std(values, ddof=1) * np.sqrt(1 / k + 1 / (k - 1)))


def sentence(score: FoldScore) -> str:
    measure = Measure.of(score)
    return (
        f"The {score.words} is {measure.text(score.value)} (95 % interval "
        f"{measure.texts(score.interval)}): models of {score.folds} folds, trained by the same "
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
