"""Stage 3: the baselines that the model must beat.

The kind of input and the target say which there are; the one that is best on the validation set
counts. For images it is the nearest class mean, by RMSE or by MAE, for ids naive Bayes; the
majority class is always one.

    python -m pipeline.baseline

Reads: data/prepared. Writes: evaluation/baseline_predictions.npy, reports/baseline.json,
reports/class_means.png.
"""

from __future__ import annotations

from pipeline import targets
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.reports.baseline import BaselineReport, Score
from pipeline.process import stage
from pipeline.reporting import pictures
from pipeline.reporting.tables import BASELINES
from pipeline.targets import _scores

PICTURE = artifacts.REPORTS / "class_means.png"


def main() -> None:
    description = artifacts.load_description()
    target = targets.target(description.target)
    predict = target.baseline(*artifacts.load_split("train"), description, pictures, PICTURE)
    scores: dict[str, dict[str, Score]] = {}
    predictions: dict[str, Array] = {}
    for split in ("validation", "test"):
        images, labels = artifacts.load_split(split)
        predictions = predict(images)
        scores[split] = {
            name: _scores.baseline_score(predicted, labels, description)
            for name, predicted in predictions.items()
        }
    report = BaselineReport.of(scores)
    artifacts.save_array(artifacts.BASELINE_PREDICTIONS, predictions[report.best])
    report.save()
    print(f"baseline: {BASELINES[report.best]}: test accuracy {report.test_accuracy:.4f}")


if __name__ == "__main__":
    stage.run(main)
