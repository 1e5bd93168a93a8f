"""What a model answered on validation, kept so that two models can be compared image by image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.atomic import replacing

MOST_SIGNIFICANT = 1e-12  # a probability below this counts as this, so that no loss is infinite


@dataclass(frozen=True)
class Answers:
    """Probabilities (N, K), labels (N,) and a digest (N,) of each example, by which those of two splits are matched."""

    probabilities: Array
    labels: Array
    examples: Array

    @property
    def right(self) -> Array:
        """Whether each example was classified rightly (N,)."""
        result: Array = self.probabilities.argmax(1) == self.labels
        return result

    @property
    def losses(self) -> Array:
        """The cross-entropy of each example (N,)."""
        chosen = self.probabilities[np.arange(len(self.labels)), self.labels]
        result: Array = -np.log(np.maximum(chosen, MOST_SIGNIFICANT))
        return result

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def save(path: Path, answers: Answers) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            probabilities=answers.probabilities,
            labels=answers.labels,
            examples=answers.examples,
        )


def load(data: bytes) -> Answers:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Answers(file["probabilities"], file["labels"], file["examples"])
