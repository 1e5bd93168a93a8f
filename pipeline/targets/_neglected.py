"""The classes that a model neglects in validation: it never predicts them, or finds them poorly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline import targets
from pipeline.config.parts import one_class_each
from pipeline.files.artifacts import Array, Description
from pipeline.files.predictions import Predictions
from pipeline.reporting import statistics
from pipeline.targets import _thresholds
from pipeline.targets._per_class import never_predicted

BAD, RARE = 0.5, 0.7  # shares of the accuracy, and of the mean number of examples of a class


def ignored(validation: Predictions, description: Description) -> list[str]:
    """The names that are never predicted in validation, with the thresholds chosen there."""
    target, names = targets.recognition(description.target), description.class_names
    holds_from = _thresholds.fitted(validation, description.target)
    answers = target.answers(validation.probabilities, holds_from)
    return never_predicted(target.counts(answers, validation.labels, len(names)), names)


def poorly_recognized(
    outputs: Array, labels: Array, description: Description, trained: Mapping[str, int]
) -> list[str]:
    """The rare classes that a model neglects on these examples; none if an example has several.

    Rare is a class with fewer than RARE of the mean of the `trained` examples. Its recall is below
    BAD, and the 95 % interval of it below the accuracy, or the class is never predicted.
    """
    if not one_class_each(description.target):
        return []
    target, names = targets.recognition(description.target), description.class_names
    counts = target.counts(target.answers(outputs), labels, len(names))
    accuracy = counts.right.sum() / max(len(labels), 1)
    recall = counts.right / np.maximum(counts.images, 1)
    certain = statistics.accuracy_intervals(counts.right, counts.images)[:, 1] < accuracy
    rare = np.array([trained[name] for name in names]) < RARE * np.mean(list(trained.values()))
    bad = (recall < BAD * accuracy) & (certain | (counts.predicted == 0))
    return [names[number] for number in np.flatnonzero(rare & bad & (counts.images > 0))]
