"""Stage 3: the baseline that the model must beat.

The kind of input says which there are; the one that is better on the validation set counts. For
images it is the nearest class mean, by RMSE or by MAE; for ids it is naive Bayes.

    python -m pipeline.baseline

Reads: data/prepared. Writes: evaluation/baseline_predictions.npy, reports/baseline.json,
reports/class_means.png.
"""

from __future__ import annotations

import numpy as np

from pipeline import inputs
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.reports.baseline import BaselineReport, Score
from pipeline.process import stage
from pipeline.reporting import pictures, statistics

PICTURE = artifacts.REPORTS / "class_means.png"


def score(predictions: Array, labels: Array, class_names: list[str]) -> Score:
    matrix = statistics.confusion(predictions, labels, len(class_names))
    scores = statistics.per_class(matrix, class_names)
    recalls = {name: values["recall"] for name, values in scores.items()}
    accuracy, interval = statistics.accuracy(predictions, labels)
    return Score(accuracy=accuracy, interval=interval, per_class=recalls)


def main() -> None:
    description = artifacts.load_description()
    class_names = description.class_names
    kind = inputs.kind(description.kind)
    predict = kind.baseline(*artifacts.load_split("train"), description, pictures, PICTURE)
    scores: dict[str, dict[str, Score]] = {}
    predictions: dict[str, Array] = {}
    for split in ("validation", "test"):
        images, labels = artifacts.load_split(split)
        predictions = predict(images)
        scores[split] = {
            name: score(predicted, labels, class_names) for name, predicted in predictions.items()
        }
    report = BaselineReport.of(scores)
    artifacts.save_array(artifacts.BASELINE_PREDICTIONS, predictions[report.best].astype(np.int64))
    report.save()
    print(f"baseline {report.best}: test accuracy {report.test_accuracy:.4f}")


if __name__ == "__main__":
    stage.run(main)
