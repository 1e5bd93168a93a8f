"""One class of several: labels (N,) from 0, outputs are the probabilities (N, K) of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import inputs
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.predictions import Predictions
from pipeline.files.reports.baseline import Score
from pipeline.files.reports.evaluate import ClassScore, EvaluationReport, Gate
from pipeline.inputs import Pictures, Predict, Sheet
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from pipeline.reporting.tables import listed, percent
from pipeline.targets import Drawings, Scores
from serving import gate

if TYPE_CHECKING:
    from serving.model_card import ModelCard

BASELINES = {"majority": "majority class"}

LEAST_PROBABILITY = 1e-7  # smaller ones count as this, so that no loss is infinite, as in Keras

BAD = 0.5  # a class is bad if its recall is below this share of the accuracy

compare = gate.compare


def check(labels: Array, description: Description, part: str) -> None:
    class_names = description.class_names
    if len(class_names) < 2:
        raise UserError(f"the dataset has one class, {class_names[0]!r}; expected at least two")
    if len(labels) == 0:
        raise UserError(f"the {part} part is empty; expected at least one image of each class")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(class_names):
        raise UserError(
            f"the {part} part has labels from {low} to {high}; expected 0 to {len(class_names) - 1}"
        )
    counts = np.bincount(labels, minlength=len(class_names))
    if not counts.all():
        empty_class = class_names[int(counts.argmin())]
        raise UserError(
            f"class {empty_class!r} has no image in the {part} part; expected at least one"
        )


def strata(labels: Array) -> Array:
    return labels


def report(labels: Array, description: Description) -> dict[str, Any]:
    counts = np.bincount(labels, minlength=len(description.class_names)).tolist()
    return {"per_class": dict(zip(description.class_names, counts, strict=True))}


def baseline(
    train: Array, labels: Array, description: Description, pictures: Pictures, path: Path
) -> Predict:
    """Those of the kind of input, and the majority class, which looks at no input."""
    kind = inputs.kind(description.kind)
    predict = kind.baseline(train, labels, description, pictures, path)
    majority = int(np.bincount(labels).argmax())
    return lambda images: {**predict(images), "majority": np.full(len(images), majority)}


def baseline_score(predictions: Array, labels: Array, description: Description) -> Score:
    accuracy, interval = statistics.accuracy(predictions, labels)
    scores = per_class(confusion(predictions, labels, description), description.class_names)
    recalls = {name: score.recall for name, score in scores.items()}
    return Score(accuracy=accuracy, interval=interval, per_class=recalls)


def confusion(predictions: Array, labels: Array, description: Description) -> Array:
    """Counts (K, K): row = true class, column = predicted class."""
    num_classes = len(description.class_names)
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def per_class(matrix: Array, class_names: Sequence[str]) -> dict[str, ClassScore]:
    """Precision, recall and F1 of each class; 0 if the class was never predicted or never seen."""
    return class_scores(matrix.diagonal(), matrix.sum(0), matrix.sum(1), class_names)


def class_scores(
    right: Array, predicted: Array, images: Array, class_names: Sequence[str]
) -> dict[str, ClassScore]:
    """From the counts of each class (K,): `images` of it, those `right`, and all `predicted`."""
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(images, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    columns = zip(class_names, precision.tolist(), recall.tolist(), f1.tolist(), strict=True)
    return {name: ClassScore(precision=p, recall=r, f1=f) for name, p, r, f in columns}


def scores(predictions: Predictions) -> Scores:
    probabilities, labels = predictions.probabilities, predictions.labels
    return Scores(
        right=probabilities.argmax(1) == labels,
        losses=losses(probabilities, labels),
        examples=predictions.examples,
    )


def losses(probabilities: Array, labels: Array) -> Array:
    """The cross-entropy of each example (N,)."""
    likelihoods = probabilities[np.arange(len(labels)), labels]
    result: Array = -np.log(np.maximum(likelihoods, LEAST_PROBABILITY))
    return result


def margins(probabilities: Array) -> Array:
    """The difference of the two highest probabilities (N,)."""
    top_two = np.sort(probabilities, axis=1)[:, -2:]
    difference: Array = top_two[:, 1] - top_two[:, 0]
    return difference


def ignored(probabilities: Array, labels: Array, description: Description) -> list[str]:
    missing = np.setdiff1d(labels, probabilities.argmax(1))
    return [description.class_names[label] for label in missing]


def evaluate(
    probabilities: Array, labels: Array, baseline: Array, description: Description, goal: float
) -> EvaluationReport:
    predictions = probabilities.argmax(1)
    accuracy, interval = statistics.accuracy(predictions, labels)
    scores = per_class(confusion(predictions, labels, description), description.class_names)
    recalls = [score.recall for score in scores.values()]
    never_predicted = ignored(probabilities, labels, description)
    return EvaluationReport(
        model_sha256=artifacts.sha256(artifacts.MODEL),
        test_accuracy=accuracy,
        test_accuracy_interval=interval,
        balanced_accuracy=float(np.mean(recalls)),
        macro_f1=float(np.mean([score.f1 for score in scores.values()])),
        worst_recall=min(recalls),
        test_loss=float(losses(probabilities, labels).mean()),
        test_images=len(labels),
        gate=judge(predictions == labels, baseline == labels, goal, never_predicted),
        per_class=scores,
    )


def judge(right: Array, baseline_right: Array, goal: float, never_predicted: list[str]) -> Gate:
    """Whether the model reaches the goal, beats the baseline and predicts every class.

    `right` (N,) and `baseline_right` (N,) say which images each of them classified correctly. The
    baseline is beaten by McNemar's test, p < 0.05.
    """
    accuracy, baseline_accuracy = float(right.mean()), float(baseline_right.mean())
    gained, lost = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    p_value = statistics.mcnemar(lost, gained)
    beaten = gained > lost and p_value < 0.05
    return Gate(
        target=goal,
        target_reached=accuracy >= goal,
        baseline_accuracy=baseline_accuracy,
        baseline_p_value=p_value,
        baseline_beaten=beaten,
        never_predicted=never_predicted,
        failures={
            "target": _missed(accuracy, goal),
            "baseline": [] if beaten else [_not_beaten(accuracy, baseline_accuracy, p_value)],
            "classes": _never_predicted(never_predicted),
        },
    )


def _missed(accuracy: float, goal: float) -> list[str]:
    if accuracy >= goal:
        return []
    return [
        f"test accuracy {accuracy:.4f} is below problem.target {goal}; "
        "change the model or the data, and train again"
    ]


def _not_beaten(accuracy: float, baseline: float, p_value: float) -> str:
    if accuracy == baseline:
        return (
            f"the baseline has the same test accuracy, {baseline:.4f}: either the task needs no "
            "network, or the test images are too few or too easy; add more or harder ones"
        )
    return (
        f"test accuracy {accuracy:.4f} is not significantly better than the baseline's "
        f"{baseline:.4f} (p = {p_value:.3f}); change the model or the data, and train again"
    )


def _never_predicted(names: list[str]) -> list[str]:
    if not names:
        return []
    return [
        f"the model never predicts {listed(names)} on the test set: add training examples of "
        f"{'it' if len(names) == 1 else 'them'}, train longer, or use a larger model"
    ]


def remark(report: EvaluationReport) -> str:
    if report.worst_recall >= BAD * report.test_accuracy:
        return ""
    return by_class(report.per_class)


def results(card: ModelCard) -> str:
    counts = card.reference
    if counts is None:
        return ""
    right, predicted, images = map(np.array, (counts.right, counts.predicted, counts.images))
    sentence = by_class(class_scores(right, predicted, images, card.class_names))
    never = [name for name, count in zip(card.class_names, predicted, strict=True) if not count]
    return sentence + (f" The model never predicts {listed(never)}." if never else "")


def by_class(scores: Mapping[str, ClassScore]) -> str:
    """What an accuracy may hide, in a sentence."""
    recalls = [score.recall for score in scores.values()]
    balanced, macro_f1 = np.mean(recalls), np.mean([score.f1 for score in scores.values()])
    worst = list(scores)[int(np.argmin(recalls))]
    return (
        f"Balanced accuracy, the mean recall of the classes, is {percent(float(balanced))}, "
        f"macro F1 {percent(float(macro_f1))}; the worst recall is {percent(min(recalls))}, "
        f"of {worst!r}."
    )


def output(description: Description) -> dict[str, Any]:
    return {
        "target": description.target,
        "class_names": description.class_names,
        "output": {
            "name": "probabilities",
            "type": "float32",
            "shape": [len(description.class_names)],
            "range": [0, 1],
        },
    }


def order(card: ModelCard) -> str:
    return ", ".join(card.class_names)


def draw(
    pictures: Drawings, images: Array, labels: Array, probabilities: Array, description: Description
) -> None:
    """The confusion matrix as a picture and a row per example, and the worst mistakes."""
    predictions, class_names = probabilities.argmax(1), description.class_names
    pairs = [
        (class_names[true], class_names[predicted])
        for true, predicted in zip(labels, predictions, strict=True)
    ]
    artifacts.save_csv(artifacts.REPORTS / "confusion.csv", ("actual", "predicted"), pairs)
    matrix = confusion(predictions, labels, description)
    pictures.confusion_matrix(artifacts.REPORTS / "confusion.png", matrix, class_names)
    kind = inputs.kind(description.kind)
    worst = worst_mistakes(probabilities, labels, kind.SHOWN)
    names = pictures.shown_names(class_names)
    titles = [
        f"{names[labels[row]]} as {names[predictions[row]]}{kind.BEFORE_CONFIDENCE}"
        f"{probabilities[row].max():.2f}"
        for row in worst
    ]
    mistakes = int((predictions != labels).sum())
    title = f"The worst of {mistakes} mistakes: true as predicted, and the confidence"
    sheet = Sheet(artifacts.REPORTS / "mistakes.png", titles, title)
    kind.draw(pictures, sheet, images[worst], description.vocabulary)


def worst_mistakes(probabilities: Array, labels: Array, count: int) -> Array:
    """Rows of the wrong predictions, the most confident first."""
    predictions = probabilities.argmax(1)
    wrong = np.flatnonzero(predictions != labels)
    return wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")][:count]
