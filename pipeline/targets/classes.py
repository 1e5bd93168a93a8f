"""One class of several: labels (N,) are integers from 0, the outputs sum to 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import inputs
from pipeline.files.artifacts import Array, Description
from pipeline.inputs import Drawing, Predict
from pipeline.process.errors import UserError
from pipeline.targets import Counts, Thresholds

BASELINES = {"majority": "majority class"}
OUTPUTS: tuple[str, ...] = ("softmax", "sigmoid")
LOSSES: tuple[str, ...] = ()
SCORING = "_scores"
ONE_CLASS_EACH = True
IS_NUMBER = False
RIGHT = "accuracy"
ANSWER = "the most probable class is the answer"

LEAST_PROBABILITY = 1e-7  # smaller ones count as this, so that no loss is infinite, as in Keras


def check(labels: Array, description: Description, part: str) -> None:
    class_names = description.class_names
    if len(class_names) < 2:
        raise UserError(f"the dataset has one class, {class_names[0]!r}; expected at least two")
    if len(labels) == 0:
        raise UserError(f"the {part} part is empty; expected at least one example of each class")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(class_names):
        raise UserError(
            f"the {part} part has labels from {low} to {high}; expected 0 to {len(class_names) - 1}"
        )
    counts = np.bincount(labels, minlength=len(class_names))
    if not counts.all():
        empty_class = class_names[int(counts.argmin())]
        raise UserError(
            f"class {empty_class!r} has no example in the {part} part; expected at least one: add "
            "some, or leave the class out"
        )


def contents(labels: Array, names: Sequence[str]) -> dict[str, Any]:
    return counts(labels, labels, len(names)).contents(names)


def random(rng: np.random.Generator, count: int, number: int) -> Array:
    return np.arange(count) % number


def strata(labels: Array) -> Array:
    return labels


def baseline(
    train: Array, labels: Array, description: Description, pictures: Drawing, path: Path
) -> Predict:
    """Those of the kind of input, and the majority class, which looks at no input."""
    kind = inputs.kind(description.kind)
    predict = kind.baseline(train, labels, description, pictures, path)
    majority = int(np.bincount(labels).argmax())
    return lambda images: {**predict(images), "majority": np.full(len(images), majority)}


def answers(probabilities: Array, holds_from: Thresholds = None) -> Array:
    result: Array = probabilities.argmax(1)
    return result


def right(answers: Array, labels: Array) -> Array:
    result: Array = answers == labels
    return result


def losses(probabilities: Array, labels: Array) -> Array:
    likelihoods = probabilities[np.arange(len(labels)), labels]
    result: Array = -np.log(np.maximum(likelihoods, LEAST_PROBABILITY))
    return result


def counts(answers: Array, labels: Array, number: int) -> Counts:
    hits = labels[answers == labels]
    images, predicted, hit = (
        np.bincount(part, minlength=number) for part in (labels, answers, hits)
    )
    return Counts(images, predicted, hit)


def confidences(probabilities: Array, holds_from: Thresholds = None) -> Array:
    result: Array = probabilities.max(1)
    return result


def margins(probabilities: Array, holds_from: Thresholds = None) -> Array:
    """The difference of the two highest probabilities (N,)."""
    top_two = np.sort(probabilities, axis=1)[:, -2:]
    difference: Array = top_two[:, 1] - top_two[:, 0]
    return difference


def confused(answers: Array, labels: Array) -> tuple[Array, Array]:
    return labels, answers


def words(answer: Array, names: Sequence[str]) -> str:
    return names[int(answer)]
