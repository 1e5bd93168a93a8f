"""A model's predictions on the validation set, stored for paired comparisons of two models."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.atomic import replacing


@dataclass(frozen=True)
class Predictions:
    """Probabilities (N, K), labels (N,), and a digest (N,) that identifies each example.

    The digests match examples that two predictions, made on different splits, have in common.
    """

    probabilities: Array
    labels: Array
    examples: Array


def save(path: Path, predictions: Predictions) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            probabilities=predictions.probabilities,
            labels=predictions.labels,
            examples=predictions.examples,
        )


def load(data: bytes) -> Predictions:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Predictions(file["probabilities"], file["labels"], file["examples"])
