"""Stage 6: evaluate the model once on the held-out test set, against the target and the baseline.

    python -m pipeline.evaluate

Reads: model/model.keras, data/prepared/test, evaluation/validation.npz, the baseline's predictions,
and reports/folds.json if evaluate.folds names it.
Writes: evaluation/test_probabilities.npy, reports/evaluate.json, reports/confusion.{csv,png},
reports/bars.png, reports/mistakes.png. A gate that fails here only warns; `package` then refuses to
make a bundle.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import stats

from pipeline import targets
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.config.parts import one_class_each
from pipeline.files import artifacts, groups, predictions, split_files
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.evaluate import Evaluation
from pipeline.files.reports.folds import FoldsReport, recipe
from pipeline.process import imports, stage
from pipeline.process.words import percent
from pipeline.reporting import pictures
from pipeline.targets import Goal, _scores, _thresholds
from pipeline.training import keras_files

CERTAIN = 0.001  # p-value
FAR_FEWER = 0.05  # of all answers


def by_folds(report: Evaluation, settings: Params, description: Description) -> Evaluation:
    """The report, with the target judged by what `edgeproof folds` found. Raises UserError.

    Folds of other data or of another recipe judge nothing, and the gate says so: an experiment
    that changes a value still ends, but makes no bundle.
    """
    path = Path(settings.evaluate.folds)
    folds = FoldsReport.load(path)
    if folds.recipe == recipe(settings, description):
        return _scores.with_folds(report, folds.score)
    fault = (
        f"{path} is of other data, or of other values of dataset, preprocess, train or "
        "problem.metric in params.yaml; `edgeproof run` trains the folds again, or set "
        f"evaluate.folds to {params.NONE}"
    )
    return _scores.with_target(report, [fault])


def unlike_validation(test: Array, validation: Array) -> list[str]:
    """A sentence if far fewer answers to the test set are right than to the validation set.

    Both say which are right, (N,) and (M,). By Fisher's exact test.
    """
    if validation.mean() - test.mean() < FAR_FEWER:
        return []
    table = np.array([[right.sum(), (~right).sum()] for right in (test, validation)])
    if stats.fisher_exact(table, alternative="less").pvalue >= CERTAIN:
        return []
    return [
        f"note: {percent(validation.mean())} of the validation set are right, and only "
        f"{percent(test.mean())} of the test set: either its examples are of another kind, or "
        "some that belong together are in training and in validation, which preprocess.group "
        "prevents"
    ]


def main() -> None:
    settings = params.load()
    description = artifacts.load_description()
    images, labels = split_files.load_split("test")
    baseline = artifacts.load_array(artifacts.BASELINE_PREDICTIONS)
    with imports.quiet():
        model = keras_files.load(artifacts.MODEL)
        outputs = keras_files.probabilities(model, images)
    scoring = targets.scoring(description.target)
    problem = settings.problem
    validation = predictions.load(artifacts.VALIDATION.read_bytes())
    holds_from = _thresholds.fitted(validation, description.target)
    goal = Goal(problem.target, problem.metric, holds_from)
    report = scoring.evaluate(outputs, labels, baseline, description, goal)
    report = scoring.with_groups(report, outputs, labels, description, groups.load_names())
    if settings.evaluate.folds != params.NONE:
        report = by_folds(report, settings, description)
    artifacts.save_array(artifacts.TEST_PROBABILITIES, outputs)
    report.save()
    report.save_metrics()
    scoring.draw(pictures, (images, labels), outputs, description, report)
    lines = [scoring.score_in_words(report), *scoring.remarks(report)]
    if one_class_each(description.target):
        validated = validation.probabilities.argmax(1) == validation.labels
        lines += unlike_validation(outputs.argmax(1) == labels, validated)
    print("\n".join(lines))
    for sentence in report.judged.sentences:
        print(
            f"warning: {sentence}; there will be no bundle, "
            "but `edgeproof draft` writes one that is marked as not proven"
        )


if __name__ == "__main__":
    stage.run(main)
