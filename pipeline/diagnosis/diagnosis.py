"""Input and output of a rule: the curves of a training with their context, and a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from pipeline.files.artifacts import Array
from pipeline.files.reports.preprocess import Evidence
from pipeline.process.words import percent
from pipeline.reporting import statistics
from pipeline.reporting.tables import amount
from pipeline.training.learning_curves import (
    EPOCH,
    TRAIN_ACCURACY,
    TRAIN_ERROR,
    TRAIN_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_ERROR,
    VALIDATION_LOSS,
)

FEWEST_EPOCHS = 3  # curves with fewer epochs show nothing
WIDE = 0.04  # validation is small if half the 95 % interval of its accuracy is at least this


@dataclass(frozen=True)
class Diagnosis:
    verdict: str
    epoch: float  # where it begins, by the file's own numbers; an int if it is whole
    numbers: dict[str, float]  # that led to the verdict
    sentence: str  # for people


@dataclass(frozen=True)
class MostError:
    """The target of a model that gives a number: the mean absolute error that it may have."""

    value: float
    unit: str


@dataclass(frozen=True)
class Curves:
    columns: dict[str, Array]  # of learning_curves.csv; one of the accuracies may be missing
    evidence: Evidence | None
    layers: dict[str, float]
    target: float | MostError  # an accuracy to reach, or an error
    trained_before: bool

    @property
    def train_loss(self) -> Array:
        return self.columns[TRAIN_LOSS]

    @property
    def validation_loss(self) -> Array:
        return self.columns[VALIDATION_LOSS]

    @property
    def validation_accuracy(self) -> Array | None:
        return self.columns.get(VALIDATION_ACCURACY)

    @property
    def epochs(self) -> int:
        return len(self.columns[EPOCH])

    @property
    def score(self) -> float:
        """The final accuracy, or the final mean absolute error: the better of both sets."""
        if not isinstance(self.target, MostError):
            return self.accuracy
        errors = (self.columns[TRAIN_ERROR], self.columns[VALIDATION_ERROR])
        return float(min(np.median(error[-FEWEST_EPOCHS:]) for error in errors))

    @property
    def reaches_target(self) -> bool:
        if isinstance(self.target, MostError):
            return self.score <= self.target.value
        return self.score >= self.target

    @property
    def is_far_off(self) -> bool:
        """Whether no epoch of training was anywhere near the target."""
        if isinstance(self.target, MostError):
            return bool(self.columns[TRAIN_ERROR].min() > 2 * self.target.value)
        return bool(self.accuracies[0].max() < self.target / 2)

    @property
    def score_and_target(self) -> tuple[str, str]:
        """Both in words."""
        if isinstance(self.target, MostError):
            unit = self.target.unit
            return amount(self.score, unit), amount(self.target.value, unit)
        return percent(self.score, 1), percent(self.target, 1)

    @property
    def accuracies(self) -> list[Array]:
        """The training accuracy, and the validation accuracy if there is one; none of a number.

        A missing training accuracy is estimated from the loss. exp(-loss), for a mean
        cross-entropy, is the geometric mean of the probabilities of the right classes; an accuracy
        is hardly ever below it.
        """
        if isinstance(self.target, MostError):
            return []
        train = self.columns.get(TRAIN_ACCURACY, np.exp(-self.train_loss))
        return [train] if self.validation_accuracy is None else [train, self.validation_accuracy]

    @property
    def knows_train_accuracy(self) -> bool:
        return TRAIN_ACCURACY in self.columns

    @property
    def accuracy(self) -> float:
        """The final accuracy: the better of training and validation.

        Augmentation and dropout make training harder, so it may be the lower of the two.
        """
        return float(max(np.median(accuracy[-FEWEST_EPOCHS:]) for accuracy in self.accuracies))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the validation accuracy at the lowest validation loss.

        None if the number of validation images, or the accuracy, is unknown.
        """
        if self.evidence is None or self.validation_accuracy is None:
            return None
        images = self.evidence.validation_images
        accuracy = float(self.validation_accuracy[lowest(self)])
        if not np.isfinite(accuracy):
            return None
        return statistics.accuracy_interval(round(accuracy * images), images)

    @property
    def validation_is_tiny(self) -> bool:
        """Whether the interval would be wide even if every validation image were right."""
        if self.evidence is None:
            return False
        images = self.evidence.validation_images
        low, high = statistics.accuracy_interval(images, images)
        return is_wide(low, high)

    @property
    def chance_of_gap(self) -> float:
        """p-value of the validation accuracy, if validation is as easy as the training set."""
        if self.evidence is None or len(self.accuracies) < 2:
            return 1.0
        train, validation = (
            float(np.median(accuracy[-FEWEST_EPOCHS:])) for accuracy in self.accuracies
        )
        train_images, images = self.evidence.train_images, self.evidence.validation_images
        # Laplace's rule of succession: all right in training does not mean a rate of 1
        rate = (train * train_images + 1) / (train_images + 2)
        return float(special.bdtr(round(validation * images), images, rate))

    def epoch(self, index: int) -> float:
        """The file's own number of the epoch at `index`; it may begin at 0 or be fractional."""
        number = float(self.columns[EPOCH][index])
        return int(number) if number.is_integer() else number


def lowest(curves: Curves) -> int:
    """The index of the lowest validation loss."""
    return int(np.argmin(curves.validation_loss))


def is_wide(low: float, high: float) -> bool:
    return (high - low) / 2 >= WIDE
