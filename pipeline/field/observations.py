"""A model's predictions in the field, from the log of a device or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config.parts import is_number, one_class_each
from pipeline.files.artifacts import Array
from serving import ModelCard
from serving.logged_answers import Stored
from serving.model_file import ModelFile, Proof

UNKNOWN = -1  # the label of an unlabelled prediction; of a number NaN


@dataclass(frozen=True)
class Observations:
    """N predictions of one file on one runtime; unlabelled ones have the label UNKNOWN.

    Answers and labels are those of the target: classes (N,), several labels (N, K), numbers (N,).
    """

    card: ModelCard
    file: ModelFile
    runtime: str
    names: list[str]
    predicted: Array
    confidence: Array  # (N,), of a number half of its interval
    labels: Array
    statistics: Array  # (N, S), in the order of serving.inputs.statistic_names
    picture: Callable[[int], Array | None]  # the input of prediction i, if it was logged
    unreadable: list[str]  # one message for each picture that could not be read
    times: Array | None = None  # seconds since 1970 (N,), of a log

    @property
    def proof(self) -> Proof:
        """How the file did on the test set, on this runtime."""
        return next(proof for proof in self.file.proofs if proof.runtime == self.runtime)

    @property
    def test_images(self) -> int:
        """On how many test images its score in the proof is; other images may be in the proof."""
        return min(self.proof.images, self.card.test_images)

    @property
    def labelled(self) -> Array:
        """Which predictions (N,) have a label."""
        if self.labels.dtype.kind == "f":
            return ~np.isnan(self.labels)
        known: Array = self.labels.reshape(len(self.labels), -1)[:, 0] != UNKNOWN
        return known


def as_array(values: Sequence[Stored | None], card: ModelCard) -> Array:
    """Answers or labels as a log holds them; None stands for no label.

    Raises ValueError for what does not fit the card.
    """
    if is_number(card.target):
        numbers = np.array([np.nan if value is None else value for value in values], np.float64)
        if not np.isfinite(numbers[[value is not None for value in values]]).all():
            raise ValueError("a number is not finite")
        return numbers
    count = len(card.class_names)
    if not one_class_each(card.target):
        none = np.full(count, UNKNOWN).tolist()
        rows = [none if value is None else _bits(value, count) for value in values]
        return np.array(rows).reshape(-1, count)
    for value in values:
        if value is not None and not (isinstance(value, int) and 0 <= value < count):
            raise ValueError("a class is not one of the card")
    return np.array([UNKNOWN if value is None else value for value in values], int)


def _bits(value: Stored, count: int) -> list[int]:
    if not isinstance(value, bytes) or len(value) != count or max(value) > 1:
        raise ValueError("labels are not those of the card")
    return list(value)
