"""Stage 6: the held-out test set, once; whether target and baseline are passed, by which `package` goes.

    python -m pipeline.evaluate

Reads: model/model.keras, data/prepared/test, the baseline's predictions. Writes: evaluation/test_probabilities.npy,
reports/evaluate.json, reports/confusion.{csv,png}, reports/mistakes.png.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.process import imports, stage
from pipeline.reporting import pictures, statistics
from pipeline.training import keras_files

SHOWN_MISTAKES = 30


def evaluate(
    probabilities: Array, labels: Array, baseline: Array, class_names: list[str], target: float
) -> dict[str, Any]:
    """The test report: probabilities (N, K) of the model, labels (N,), and the baseline's predictions (N,) on the same images."""
    predictions = probabilities.argmax(1)
    right, baseline_right = predictions == labels, baseline == labels
    gained, lost = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    p_value = statistics.mcnemar(lost, gained)
    beaten = gained > lost and p_value < 0.05
    measured = statistics.accuracy_report(predictions, labels)
    likelihood = np.clip(probabilities[np.arange(len(labels)), labels], 1e-7, 1)
    return {
        "test_accuracy": measured["accuracy"],
        "test_accuracy_interval": measured["interval"],
        "test_loss": float(-np.log(likelihood).mean()),
        "test_images": len(labels),
        "gate": {
            "target": target,
            "target_reached": measured["accuracy"] >= target,
            "baseline_accuracy": float(baseline_right.mean()),
            "baseline_p_value": p_value,
            "baseline_beaten": beaten,
            "failures": failures(
                measured["accuracy"], target, float(baseline_right.mean()), p_value, beaten
            ),
        },
        "per_class": statistics.per_class(
            statistics.confusion(predictions, labels, len(class_names)), class_names
        ),
    }


def worst_mistakes(probabilities: Array, labels: Array, count: int) -> Array:
    """Row numbers of the wrong predictions, the surest first."""
    predictions = probabilities.argmax(1)
    wrong = np.flatnonzero(predictions != labels)
    return wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")][:count]


def spell(ids: Array, description: Description, shown: int = 60) -> str:
    """The names of the first ids of a row (L,)."""
    return " ".join(description.vocabulary[number - 1] for number in ids[:shown] if number)


def failures(
    accuracy: float, target: float, baseline: float, p_value: float, beaten: bool
) -> list[str]:
    """The gates that the model fails, in a sentence each."""
    result = []
    if accuracy < target:
        result.append(
            f"test accuracy {accuracy:.4f} is below problem.target {target}; change the model or the data, and train again"
        )
    if accuracy == baseline and not beaten:
        result.append(
            f"the baseline has the same test accuracy, {baseline:.4f}: either the task needs no network, or the test images are too few "
            "or too easy to tell; bring more or harder ones"
        )
    elif not beaten:
        result.append(
            f"test accuracy {accuracy:.4f} does not beat the baseline's {baseline:.4f} beyond chance "
            f"(p = {p_value:.3f}); change the model or the data, and train again"
        )
    return result


def main() -> None:
    chosen = params.load()
    description = artifacts.load_description()
    class_names = description.class_names
    images, labels = artifacts.load_split("test")
    baseline = artifacts.load_array(artifacts.BASELINE_PREDICTIONS)
    with imports.quiet():
        model = keras_files.load(artifacts.MODEL)
        probabilities = keras_files.probabilities(model, images)
    summary = evaluate(probabilities, labels, baseline, class_names, chosen.problem.target)
    summary = {"model_sha256": artifacts.sha256(artifacts.MODEL), **summary}
    predictions = probabilities.argmax(1)
    artifacts.save_array(artifacts.TEST_PROBABILITIES, probabilities)
    artifacts.save_json(artifacts.report("evaluate"), summary)
    compared = {name: summary[name] for name in ("test_accuracy", "test_loss")}
    artifacts.save_json(
        artifacts.figures("evaluate"),
        {**compared, "baseline_test_accuracy": summary["gate"]["baseline_accuracy"]},
    )
    pairs = [
        (class_names[true], class_names[predicted])
        for true, predicted in zip(labels, predictions, strict=True)
    ]
    artifacts.save_csv(artifacts.REPORTS / "confusion.csv", ("actual", "predicted"), pairs)
    matrix = statistics.confusion(predictions, labels, len(class_names))
    pictures.confusion_matrix(artifacts.REPORTS / "confusion.png", matrix, class_names)
    worst = worst_mistakes(probabilities, labels, SHOWN_MISTAKES)
    joint = " " if description.holds_ids else "\n"
    names = pictures.shown_names(class_names)
    titles = [
        f"{names[labels[row]]} as {names[predictions[row]]}{joint}{probabilities[row].max():.2f}"
        for row in worst
    ]
    title = f"The worst of {int((predictions != labels).sum())} mistakes: true as predicted, and how sure"
    if description.holds_ids:
        pictures.texts(
            artifacts.REPORTS / "mistakes.png",
            [spell(images[row], description) for row in worst[:10]],
            titles[:10],
            title=title,
        )
    else:
        pictures.images(artifacts.REPORTS / "mistakes.png", images[worst], titles, title=title)
    low, high = summary["test_accuracy_interval"]
    print(f"test accuracy {summary['test_accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})")
    for sentence in summary["gate"]["failures"]:
        print(
            f"warning: {sentence}; there will be no bundle, but `make draft` writes one that is marked as not proven"
        )


if __name__ == "__main__":
    stage.run(main)
