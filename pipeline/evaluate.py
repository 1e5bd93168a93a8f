"""Stage 6: evaluate the model once on the held-out test set, against the target and the baseline.

    python -m pipeline.evaluate

Reads: model/model.keras, data/prepared/test, the baseline's predictions.
Writes: evaluation/test_probabilities.npy, reports/evaluate.json, reports/confusion.{csv,png},
reports/mistakes.png. A gate that fails here only warns; `package` then refuses to make a bundle.
"""

from __future__ import annotations

import numpy as np

from pipeline import inputs
from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.evaluate import ClassScore, EvaluationReport, Gate
from pipeline.inputs import Sheet
from pipeline.process import imports, stage
from pipeline.reporting import pictures, statistics
from pipeline.training import keras_files


def evaluate(
    probabilities: Array, labels: Array, baseline: Array, class_names: list[str], target: float
) -> EvaluationReport:
    """The test report, from the model's probabilities (N, K), the labels (N,) and the baseline.

    `baseline` holds the baseline's predictions (N,) on the same images.
    """
    predictions = probabilities.argmax(1)
    accuracy, interval = statistics.accuracy(predictions, labels)
    likelihood = np.clip(probabilities[np.arange(len(labels)), labels], 1e-7, 1)
    matrix = statistics.confusion(predictions, labels, len(class_names))
    scores = statistics.per_class(matrix, class_names)
    return EvaluationReport(
        model_sha256=artifacts.sha256(artifacts.MODEL),
        test_accuracy=accuracy,
        test_accuracy_interval=interval,
        test_loss=float(-np.log(likelihood).mean()),
        test_images=len(labels),
        gate=gate(predictions == labels, baseline == labels, target),
        per_class={name: ClassScore(**score) for name, score in scores.items()},
    )


def gate(right: Array, baseline_right: Array, target: float) -> Gate:
    """Whether the model reaches the target and beats the baseline (McNemar's test, p < 0.05).

    `right` (N,) and `baseline_right` (N,) say which images each of them classified correctly.
    """
    accuracy, baseline_accuracy = float(right.mean()), float(baseline_right.mean())
    gained, lost = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    p_value = statistics.mcnemar(lost, gained)
    beaten = gained > lost and p_value < 0.05
    return Gate(
        target=target,
        target_reached=accuracy >= target,
        baseline_accuracy=baseline_accuracy,
        baseline_p_value=p_value,
        baseline_beaten=beaten,
        failures=failures(accuracy, target, baseline_accuracy, p_value, beaten),
    )


def worst_mistakes(probabilities: Array, labels: Array, count: int) -> Array:
    """Rows of the wrong predictions, the most confident first."""
    predictions = probabilities.argmax(1)
    wrong = np.flatnonzero(predictions != labels)
    return wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")][:count]


def failures(
    accuracy: float, target: float, baseline: float, p_value: float, beaten: bool
) -> list[str]:
    """One sentence for each gate that the model fails."""
    result = []
    if accuracy < target:
        result.append(
            f"test accuracy {accuracy:.4f} is below problem.target {target}; "
            "change the model or the data, and train again"
        )
    if accuracy == baseline and not beaten:
        result.append(
            f"the baseline has the same test accuracy, {baseline:.4f}: either the task needs no "
            "network, or the test images are too few or too easy; add more or harder ones"
        )
    elif not beaten:
        result.append(
            f"test accuracy {accuracy:.4f} is not significantly better than the baseline's "
            f"{baseline:.4f} (p = {p_value:.3f}); change the model or the data, and train again"
        )
    return result


def main() -> None:
    settings = params.load()
    description = artifacts.load_description()
    class_names = description.class_names
    images, labels = artifacts.load_split("test")
    baseline = artifacts.load_array(artifacts.BASELINE_PREDICTIONS)
    with imports.quiet():
        model = keras_files.load(artifacts.MODEL)
        probabilities = keras_files.probabilities(model, images)
    report = evaluate(probabilities, labels, baseline, class_names, settings.problem.target)
    artifacts.save_array(artifacts.TEST_PROBABILITIES, probabilities)
    report.save()
    report.save_metrics()
    draw_confusion(probabilities.argmax(1), labels, class_names)
    draw_mistakes(images, labels, probabilities, description)
    low, high = report.test_accuracy_interval
    print(f"test accuracy {report.test_accuracy:.4f} (95 % interval {low:.4f} to {high:.4f})")
    for sentence in report.gate.failures:
        print(
            f"warning: {sentence}; there will be no bundle, "
            "but `make draft` writes one that is marked as not proven"
        )


def draw_confusion(predictions: Array, labels: Array, class_names: list[str]) -> None:
    """Writes the confusion matrix as a picture, and a row per test image for DVC's plot."""
    pairs = [
        (class_names[true], class_names[predicted])
        for true, predicted in zip(labels, predictions, strict=True)
    ]
    artifacts.save_csv(artifacts.REPORTS / "confusion.csv", ("actual", "predicted"), pairs)
    matrix = statistics.confusion(predictions, labels, len(class_names))
    pictures.confusion_matrix(artifacts.REPORTS / "confusion.png", matrix, class_names)


def draw_mistakes(
    images: Array, labels: Array, probabilities: Array, description: Description
) -> None:
    """A sheet of the most confident wrong predictions."""
    kind, predictions = inputs.kind(description.kind), probabilities.argmax(1)
    worst = worst_mistakes(probabilities, labels, kind.SHOWN)
    names = pictures.shown_names(description.class_names)
    titles = [
        f"{names[labels[row]]} as {names[predictions[row]]}{kind.BEFORE_CONFIDENCE}"
        f"{probabilities[row].max():.2f}"
        for row in worst
    ]
    mistakes = int((predictions != labels).sum())
    title = f"The worst of {mistakes} mistakes: true as predicted, and the confidence"
    path = artifacts.REPORTS / "mistakes.png"
    kind.draw(pictures, Sheet(path, titles, title), images[worst], description.vocabulary)


if __name__ == "__main__":
    stage.run(main)
