"""What a rule is given, the curves of a training and what is known beside them, and what it gives: a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from pipeline.diagnosis.split_checks import Evidence
from pipeline.files.artifacts import Array
from pipeline.reporting import statistics

FEWEST_EPOCHS = 3  # of fewer no curve tells anything
WIDE = 0.04  # half the 95 % interval of the validation accuracy, from which on validation is small


@dataclass(frozen=True)
class Diagnosis:
    """One verdict, the epoch at which it begins (as the file numbers it), the numbers that led to it, and a sentence for people."""

    verdict: str
    epoch: float  # an int wherever it is whole
    numbers: dict[str, float]
    sentence: str


@dataclass(frozen=True)
class Curves:
    """The columns of learning_curves.csv, of whose accuracies one may be missing, and what is known beside them."""

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
    def accuracies(self) -> list[Array]:
        """That of p-training, and that of validation where it is known.

        A p-training without an accuracy has its loss: the mean cross-entropy is the logarithm of the geometric mean of the right
        classes' probabilities, below which an accuracy hardly lies.
        """
        train = self["train_accuracy"] if self.knows_train_accuracy else np.exp(-self["train_loss"])
        return [
            train,
            *(values for name, values in self.columns.items() if name == "validation_accuracy"),
        ]

    @property
    def knows_train_accuracy(self) -> bool:
        return "train_accuracy" in self.columns

    @property
    def accuracy(self) -> float:
        """What training came to: the better of p-training, which augmentation and dropout make harder, and validation."""
        return float(max(np.median(accuracy[-FEWEST_EPOCHS:]) for accuracy in self.accuracies))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the validation accuracy at the lowest validation loss, where it is known how many images it is of."""
        if self.evidence is None or "validation_accuracy" not in self.columns:
            return None
        images = self.evidence.validation_images
        accuracy = float(self["validation_accuracy"][lowest(self)])
        return (
            statistics.accuracy_interval(round(accuracy * images), images)
            if np.isfinite(accuracy)
            else None
        )

    @property
    def validation_is_tiny(self) -> bool:
        """Whether validation has so few images that the interval would be wide even if every one of them were right."""
        if self.evidence is None:
            return False
        images = self.evidence.validation_images
        low, high = statistics.accuracy_interval(images, images)
        return is_wide(low, high)

    @property
    def chance_of_gap(self) -> float:
        """How likely so few right answers in validation are by chance alone, if validation is as easy as p-training."""
        if self.evidence is None or len(self.accuracies) < 2:
            return 1.0
        train, validation = (
            float(np.median(accuracy[-FEWEST_EPOCHS:])) for accuracy in self.accuracies
        )
        seen, images = self.evidence.train_images, self.evidence.validation_images
        rate = (train * seen + 1) / (
            seen + 2
        )  # Laplace's: that all were right does not mean that all will be
        return float(special.bdtr(round(validation * images), images, rate))

    def epoch(self, index: int) -> float:
        """The number that the epoch at `index` has in the file, where the first may be 0 and an epoch may have parts."""
        number = float(self["epoch"][index])
        return int(number) if number.is_integer() else number


def lowest(curves: Curves) -> int:
    """The index of the lowest validation loss."""
    return int(np.argmin(curves["validation_loss"]))


def is_wide(low: float, high: float) -> bool:
    return (high - low) / 2 >= WIDE
