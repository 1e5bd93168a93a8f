"""How good answers are that are right or wrong: the same for every such target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipeline import inputs, targets
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.predictions import Predictions
from pipeline.files.reports.baseline import BaselineScore
from pipeline.files.reports.evaluate import (
    Evaluation,
    EvaluationReport,
    FoldScore,
    GateName,
)
from pipeline.inputs import Drawing, Sheet
from pipeline.process.words import percent
from pipeline.reporting import by_folds, by_group, calibration, metrics, statistics
from pipeline.reporting.metrics import ACCURACY, Judged
from pipeline.reporting.tables import interval
from pipeline.targets import Goal, Thresholds
from pipeline.targets._gate import by_goal, missed
from pipeline.targets._neglected import BAD, ignored, poorly_recognized
from pipeline.targets._per_class import hidden, per_class, scores_in_words

if TYPE_CHECKING:
    from serving.model_card import ModelCard


def judged(
    outputs: Array,
    labels: Array,
    description: Description,
    metric: str = ACCURACY,
    holds_from: Thresholds = None,
) -> Judged:
    target = targets.recognition(description.target)
    answers, labels = target.answers(outputs, holds_from), np.asarray(labels)
    if metric == ACCURACY:  # which targets have that are not classes, too
        return metrics.by_accuracy(target.right(answers, labels))
    return metrics.judged(metric, answers, labels, description)


def most_folds(labels: Array, description: Description) -> tuple[int, str]:
    target = targets.recognition(description.target)
    images = target.counts(labels, labels, len(description.class_names)).images
    noun = "class" if target.ONE_CLASS_EACH else "label"
    return int(images.min()), f"the size of the smallest {noun}"


def draw_contents(path: Path, labels: dict[str, Array], description: Description) -> None:
    from pipeline.reporting import class_counts  # with Matplotlib, for which `package` has no use

    target, names = targets.recognition(description.target), description.class_names
    counts = {
        split: target.counts(values, values, len(names)).images for split, values in labels.items()
    }
    class_counts.draw(path, counts, names)


def baseline_score(
    answers: Array, labels: Array, description: Description, metric: str = ACCURACY
) -> BaselineScore:
    target = targets.recognition(description.target)
    right = target.right(answers, labels)
    by_class = per_class(
        target.counts(answers, labels, len(description.class_names)), description.class_names
    )
    judged = None if metric == ACCURACY else metrics.judged(metric, answers, labels, description)
    return BaselineScore(
        accuracy=float(right.mean()),
        interval=statistics.accuracy_interval(int(right.sum()), len(right)),
        per_class={name: score.recall for name, score in by_class.items()},
        **({} if judged is None else {"metric": judged.value}),
    )


def neglected(
    validation: Predictions, description: Description, trained: dict[str, int]
) -> tuple[list[str], list[str]]:
    """The classes that are never predicted, and the rare ones that are poorly recognized."""
    answers = validation.probabilities, validation.labels, description
    return ignored(validation, description), poorly_recognized(*answers, trained)


def evaluate(
    outputs: Array, labels: Array, baseline: Array, description: Description, goal: Goal
) -> EvaluationReport:
    """The report on the test set, with the gates.

    `baseline` (N, ...) are the baseline's answers, `goal` says what the metric must reach.
    """
    target, names = targets.recognition(description.target), description.class_names
    answers = target.answers(outputs, goal.holds_from)
    right = target.right(answers, labels)
    counts = target.counts(answers, labels, len(names))
    by_class = per_class(counts, names)
    recalls = [score.recall for score in by_class.values()]
    report = EvaluationReport(
        model_sha256=artifacts.sha256(artifacts.MODEL),
        test_accuracy=float(right.mean()),
        test_accuracy_interval=statistics.accuracy_interval(int(right.sum()), len(right)),
        balanced_accuracy=float(np.mean(recalls)),
        macro_f1=float(np.mean([score.f1 for score in by_class.values()])),
        worst_recall=min(recalls),
        test_loss=float(target.losses(outputs, labels).mean()),
        test_calibration_error=calibration.error(outputs, labels),
        test_images=len(labels),
        **by_goal(answers, baseline, labels, description, goal),
        per_class=by_class,
    )
    if goal.holds_from is None:
        return report
    micro_f1 = 2 * counts.right.sum() / max(int(counts.images.sum() + counts.predicted.sum()), 1)
    return report.changed(holds_from=goal.holds_from, micro_f1=micro_f1)


def with_groups(
    report: Evaluation,
    outputs: Array,
    labels: Array,
    description: Description,
    group_names: Sequence[str],
) -> Evaluation:
    """The report with the score of each group; `group_names` (N,) are empty if there are none."""
    if not any(group_names):
        return report
    target = targets.recognition(description.target)
    right = target.right(target.answers(outputs, report.holds_from), labels)
    return report.changed(per_group=by_group.scores(right, group_names))


def with_folds(report: Evaluation, score: FoldScore) -> Evaluation:
    """The report with the score of the recipe, by which the target is then judged.

    If the model is better than the baseline, here and by the folds, chance is not held against it.
    """
    assert isinstance(report, EvaluationReport)
    gate = report.gate
    if min(report.score.value, score.value) > report.score.baseline:
        gate = gate.changed(failures={**gate.failures, GateName.BASELINE: []})
    failed = score.value < gate.target and [missed(score.value, gate.target, score.words)]
    return with_target(report.changed(gate=gate), failed or []).changed(folds=score)


def with_target(report: Evaluation, failed: list[str]) -> EvaluationReport:
    """The report with these failures to reach the target, and no others."""
    assert isinstance(report, EvaluationReport)
    failures = {**report.gate.failures, GateName.TARGET: failed}
    return report.changed(gate=report.gate.changed(target_reached=not failed, failures=failures))


def score_in_words(report: Evaluation) -> str:
    assert isinstance(report, EvaluationReport)
    score, (low, high) = report.score, report.score.interval
    return f"test {score.words} {score.value:.4f} (95 % interval {low:.4f} to {high:.4f})"


def remarks(report: Evaluation) -> list[str]:
    """On classes and groups that the accuracy hides."""
    assert isinstance(report, EvaluationReport)
    lines = [by_folds.remark(report), remark(report), by_group.sentence(report.per_group or {})]
    return [line for line in lines if line]


def remark(report: EvaluationReport) -> str:
    """A sentence if the accuracy hides a bad class, or is not what counts; else empty."""
    bad = report.worst_recall < BAD * report.test_accuracy
    return scores_in_words(report.per_class) if bad or report.metric else ""


def results(card: ModelCard) -> str:
    """In the model card: the accuracy, and what it may hide."""
    assert card.test_accuracy is not None
    assert card.test_accuracy_interval is not None
    assert card.baseline_accuracy is not None
    unseen = "" if "origin" in card.provenance else " that were never used for training"
    noun = inputs.noun(card.kind.name)
    accuracy = (
        f"Test accuracy is {percent(card.test_accuracy)} (95 % interval "
        f"{interval(card.test_accuracy_interval)}) on {card.test_images:,} {noun}{unseen}; the "
        f"baseline reaches {percent(card.baseline_accuracy)}."
    )
    judged = ""
    if card.metric:
        score = card.metric
        judged = (
            f"The model is judged by its {score.words}, which is {percent(score.value)} (95 % "
            f"interval {interval(score.interval)}) on the test set; the baseline reaches "
            f"{percent(score.baseline)}."
        )
    folds = card.provenance.get(by_folds.KEY, "")
    return " ".join(filter(None, [judged, accuracy, folds, hidden(card)]))


class Drawings(Drawing, Protocol):
    """What `draw` draws with: pipeline.reporting.pictures, handed in as for the inputs."""

    def confusion_matrix(self, path: Path, matrix: Array, class_names: Sequence[str]) -> None: ...


def draw(
    pictures: Drawings,
    test: tuple[Array, Array],
    outputs: Array,
    description: Description,
    report: Evaluation,
) -> None:
    """The confusion matrix as a picture and as rows for DVC's plot, and the worst mistakes.

    Also bars of each class and group.
    """
    from pipeline.reporting import bars

    assert isinstance(report, EvaluationReport)
    bars.of_test(artifacts.REPORTS / "bars.png", report)
    _, labels = test
    target, names = targets.recognition(description.target), description.class_names
    answers = target.answers(outputs, report.holds_from)
    actual, predicted = target.confused(answers, labels)
    pairs = [(names[a], names[p]) for a, p in zip(actual, predicted, strict=True)]
    artifacts.save_csv(artifacts.REPORTS / "confusion.csv", ("actual", "predicted"), pairs)
    matrix = confusion(actual, predicted, len(names))
    pictures.confusion_matrix(artifacts.REPORTS / "confusion.png", matrix, names)
    draw_mistakes(
        pictures, test, answers, target.confidences(outputs, report.holds_from), description
    )


def draw_mistakes(
    pictures: Drawings,
    test: tuple[Array, Array],
    answers: Array,
    confidences: Array,
    description: Description,
) -> None:
    """The wrong answers of the highest confidence."""
    images, labels = test
    target, kind = targets.recognition(description.target), inputs.kind(description.kind)
    shown = pictures.shown_names(description.class_names)
    wrong = ~target.right(answers, labels)
    worst = worst_mistakes(wrong, confidences, kind.SHOWN)
    titles = [
        f"{target.words(labels[row], shown)} as {target.words(answers[row], shown)}"
        f"{kind.BEFORE_CONFIDENCE}{confidences[row]:.2f}"
        for row in worst
    ]
    title = f"The worst of {wrong.sum()} mistakes: true as predicted, and the confidence"
    sheet = Sheet(artifacts.REPORTS / "mistakes.png", titles, title)
    kind.draw(pictures, sheet, images[worst], description.vocabulary)


def confusion(actual: Array, predicted: Array, number: int) -> Array:
    """Counts (K, K): a row for each true and a column for each predicted class."""
    matrix = np.zeros((number, number), np.int64)
    np.add.at(matrix, (actual, predicted), 1)
    return matrix


def worst_mistakes(wrong: Array, confidences: Array, count: int) -> Array:
    """Rows of the wrong answers, the most confident first."""
    rows = np.flatnonzero(wrong)
    return rows[np.argsort(-confidences[rows], kind="stable")][:count]
