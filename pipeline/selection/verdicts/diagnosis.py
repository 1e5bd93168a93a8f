"""What a rule is given, the curves of a training and what is known beside them, and what it gives: a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.artifacts import Array
from pipeline.selection.evidence import Evidence

FEWEST_EPOCHS = 3  # of fewer no curve tells anything


@dataclass(frozen=True)
class Diagnosis:
    """One verdict, the epoch at which it begins (from 1), the numbers that led to it, and a sentence for people."""

    verdict: str
    epoch: int
    numbers: dict[str, float]
    sentence: str


@dataclass(frozen=True)
class Curves:
    """The columns of learning_curves.csv, and what is known beside them."""

    columns: dict[str, Array]
    evidence: Evidence | None
    layers: dict[str, float]
    target: float
    trained_before: bool

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    @property
    def epochs(self) -> int:
        return len(self["epoch"])

    @property
    def accuracy(self) -> float:
        """What training came to: the better of p-training, which augmentation and dropout make harder, and validation."""
        return float(max(np.median(self[f"{split}_accuracy"][-FEWEST_EPOCHS:]) for split in ("train", "validation")))


def lowest(curves: Curves) -> int:
    """The index of the lowest validation loss."""
    return int(np.argmin(curves["validation_loss"]))
