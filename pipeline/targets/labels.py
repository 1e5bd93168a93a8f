"""Several labels at once: labels (N, K) are 0 or 1, and each output is a probability of its own.

An answer is right if all of its labels are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import inputs
from pipeline.files.artifacts import Array, Description
from pipeline.inputs import Drawing, Predict
from pipeline.process.errors import UserError
from pipeline.targets import Counts, Thresholds
from serving import gate

BASELINES = {"frequent": "most frequent labels"}
OUTPUTS: tuple[str, ...] = ("sigmoids",)
LOSSES: tuple[str, ...] = ("BinaryCrossentropy", "BinaryFocalCrossentropy", "MeanSquaredError")
SCORING = "_scores"
ONE_CLASS_EACH = False
IS_NUMBER = False
RIGHT = "exact match"
ANSWER = (
    "the labels whose probability reaches their threshold are the answer, which is right if all of "
    "them are"
)

LEAST_PROBABILITY = 1e-7  # smaller ones count as this, so that no loss is infinite, as in Keras
COMBINATIONS = 100  # the most frequent ones, that the baseline tells apart
RARE = 10  # examples of a combination; fewer cannot be split in proportion


def check(labels: Array, description: Description, part: str) -> None:
    names = description.class_names
    if labels.ndim != 2 or labels.shape[1] != len(names) or not np.isin(labels, (0, 1)).all():
        raise UserError(
            f"the {part} part has labels of shape {labels.shape}; "
            f"expected 0 or 1 for each of {len(names)} labels"
        )
    for name, count in zip(names, labels.sum(0, dtype=np.int64), strict=True):
        if count == 0:
            raise UserError(
                f"label {name!r} has no example in the {part} part; expected at least one: add "
                "examples with it, or leave the label out"
            )
        if count == len(labels) and part in ("training", "train"):
            raise UserError(
                f"every example in the {part} part has label {name!r}; expected one without it: "
                "add examples without it, or leave the label out"
            )


def contents(labels: Array, names: Sequence[str]) -> dict[str, Any]:
    return counts(labels, labels, len(names)).contents(names)


def random(rng: np.random.Generator, count: int, number: int) -> Array:
    return rng.integers(0, 2, (count, number))


def strata(labels: Array) -> Array:
    """The number of the combination of labels; of a rare one, that of the rarest of its labels.

    So a split has each label, and not only the combinations that are frequent.
    """
    _, numbers, sizes = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    numbers = numbers.reshape(-1)
    is_rare = (sizes[numbers] < RARE) & labels.any(1)
    rarest = np.where(labels == 1, labels.sum(0), len(labels) + 1).argmin(1)
    result: Array = np.where(is_rare, len(sizes) + rarest, numbers)
    return result


def baseline(
    train: Array, labels: Array, description: Description, pictures: Drawing, path: Path
) -> Predict:
    """Those of the kind of input, for which each combination of labels is a class of its own.

    Also the most frequent combination, which looks at no input.
    """
    combinations, numbers, sizes = np.unique(
        labels, axis=0, return_inverse=True, return_counts=True
    )
    frequent = np.argsort(-sizes, kind="stable")[:COMBINATIONS]
    place = np.full(len(combinations), -1)
    place[frequent] = np.arange(len(frequent))
    classes, known = place[numbers.reshape(-1)], combinations[frequent]
    rows = classes >= 0
    names = [words(combination, description.class_names) for combination in known]
    examples = train if rows.all() else train[rows]
    kind = inputs.kind(description.kind)
    as_classes = replace(description, class_names=names)
    predict = kind.baseline(examples, classes[rows], as_classes, pictures, path)

    def answers(images: Array) -> dict[str, Array]:
        predictions = {**predict(images), "frequent": np.zeros(len(images), int)}
        return {name: known[rows] for name, rows in predictions.items()}

    return answers


def answers(probabilities: Array, holds_from: Thresholds = None) -> Array:
    result: Array = gate.holds(probabilities, holds_from).astype(np.int64)
    return result


def right(answers: Array, labels: Array) -> Array:
    result: Array = (answers == labels).all(1)
    return result


def losses(probabilities: Array, labels: Array) -> Array:
    likelihoods = np.where(labels == 1, probabilities, 1 - probabilities)
    result: Array = -np.log(np.maximum(likelihoods, LEAST_PROBABILITY)).mean(1)
    return result


def counts(answers: Array, labels: Array, number: int) -> Counts:
    images, predicted, hit = (
        part.sum(0, dtype=np.int64) for part in (labels, answers, answers * labels)
    )
    return Counts(images, predicted, hit)


def confidences(probabilities: Array, holds_from: Thresholds = None) -> Array:
    """The probability of the least certain label of each answer."""
    result: Array = gate.least_certain(probabilities, holds_from)
    return result


def margins(probabilities: Array, holds_from: Thresholds = None) -> Array:
    result: Array = np.abs(probabilities - (holds_from or gate.THRESHOLD)).min(1)
    return result


def confused(answers: Array, labels: Array) -> tuple[Array, Array]:
    """Each label that was found, with itself, and each that was missed with those in its place."""
    hits = np.nonzero((answers == 1) & (labels == 1))[1]
    missed, wrong = (labels == 1) & (answers == 0), (labels == 0) & (answers == 1)
    in_place = [
        (actual, predicted)
        for row in np.flatnonzero(missed.any(1) & wrong.any(1))
        for actual in np.flatnonzero(missed[row])
        for predicted in np.flatnonzero(wrong[row])
    ]
    pairs = np.array(in_place, int).reshape(-1, 2)
    return np.concatenate([hits, pairs[:, 0]]), np.concatenate([hits, pairs[:, 1]])


def words(answer: Array, names: Sequence[str]) -> str:
    return " + ".join(names[int(number)] for number in np.flatnonzero(answer)) or "none"
