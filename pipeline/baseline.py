"""Stage 3: the baselines that the model must beat, and pictures of the data.

The kind of input and the target say which there are; the one that is best on the validation set
counts. For images it is the nearest class mean, by RMSE or by MAE, for ids naive Bayes; the
majority class is always one. For a number they are the mean and ridge regression. The pictures are
here and not in `preprocess`, because this stage draws anyway: loading Matplotlib takes longer than
drawing.

    python -m pipeline.baseline

Reads: data/prepared. Writes: evaluation/baseline_predictions.npy, reports/baseline.json,
reports/class_means.png, reports/contact_sheet.png, reports/class_counts.png.
"""

from __future__ import annotations

import numpy as np

from pipeline import inputs, targets
from pipeline.config import params
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.baseline import BaselineReport, BaselineScore, ErrorScore
from pipeline.inputs import Sheet, _sheet
from pipeline.process import stage
from pipeline.reporting import pictures
from pipeline.reporting.metrics import METRICS
from pipeline.reporting.tables import BASELINES, amount

MEANS, SHEET, COUNTS = (
    artifacts.REPORTS / f"{name}.png" for name in ("class_means", "contact_sheet", "class_counts")
)


def draw_sheet(images: Array, labels: Array, description: Description) -> None:
    """Some examples of each class of the training set."""
    kind, target = inputs.kind(description.kind), targets.target(description.target)
    rows, shown, classes = _sheet.examples(images, target.strata(labels), kind.CLASSES)
    names = pictures.shown_names(description.class_names)
    titles = [target.words(label, names) for label in labels[rows]]
    title = _sheet.title("Examples of the training set", shown, classes)
    kind.draw(pictures, Sheet(SHEET, titles, title), images[rows], description.vocabulary)


def draw_labels(description: Description) -> None:
    splits = {"training": "train", "validation": "validation", "test": "test"}
    labels = {name: np.asarray(split_files.load_split(split)[1]) for name, split in splits.items()}
    targets.scoring(description.target).draw_contents(COUNTS, labels, description)


def in_words(score: BaselineScore | ErrorScore, metric: str) -> str:
    if isinstance(score, ErrorScore):
        return f"test mean absolute error {amount(score.error, score.unit)}"
    return f"test {METRICS[metric].words} {score.goodness:.4f}"


def main() -> None:
    metric, description = params.load().problem.metric, artifacts.load_description()
    targets.check_metric(metric, description.target)
    target = targets.target(description.target)
    predict = target.baseline(*split_files.load_split("train"), description, pictures, MEANS)
    scoring = targets.scoring(description.target)
    scores: dict[str, dict[str, BaselineScore | ErrorScore]] = {}
    predictions: dict[str, Array] = {}
    for split in ("validation", "test"):
        images, labels = split_files.load_split(split)
        predictions = predict(images)
        scores[split] = {
            name: scoring.baseline_score(predicted, labels, description, metric)
            for name, predicted in predictions.items()
        }
    report = BaselineReport.of(scores)
    draw_sheet(*split_files.load_split("train"), description)
    draw_labels(description)
    artifacts.save_array(artifacts.BASELINE_PREDICTIONS, predictions[report.best])
    report.save()
    print(f"baseline: {BASELINES[report.best]}: {in_words(report.test_score, metric)}")


if __name__ == "__main__":
    stage.run(main)
