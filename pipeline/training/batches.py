"""Input of the training loop: shuffled batches of memory-mapped arrays and their targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from pipeline.files.artifacts import Array, Description, Inputs
from pipeline.process import ranks
from pipeline.training import augmentation, outliers

# Inputs (N, ...), such as images (N, H, W, C) uint8; labels (N,), or (N, K) if there are several
Split = tuple[Array, Array]


@dataclass(frozen=True)
class Data:
    train: Split
    validation: Split
    num_classes: int
    kind: str = "pixels"
    highest: int = 255  # largest id
    target: str = "classes"
    class_weights: Array | None = None  # (K,); None: every example counts the same
    unit: str | None = None  # of a number
    others: Array | None = None  # (M, ...): training pictures that are none of the classes

    @classmethod
    def described(cls, train: Split, validation: Split, description: Description) -> Data:
        """The two splits of the dataset that `description` is of."""
        num_classes = len(description.class_names)
        return cls(
            train,
            validation,
            num_classes,
            description.kind,
            description.highest,
            description.target,
            unit=description.unit,
        )

    @property
    def inputs(self) -> Inputs:
        return Inputs(self.train[0].shape[1:], self.kind, self.highest)

    def batch(self, size: int | Literal["full"]) -> int:
        """The batch size as a number; "full" is the size of the training set."""
        return len(self.train[1]) if size == "full" else size


def targets(labels: Array, num_classes: int, sparse: bool) -> Array:
    """Labels (N,) as int32 for a sparse loss, as one-hot rows (N, K) float32 for any other.

    Labels (N, K) are such rows already, with several ones, or standardized numbers (N, 1).
    """
    if labels.ndim == 2:
        return labels.astype("float32")
    return labels.astype("int32") if sparse else np.eye(num_classes, dtype="float32")[labels]


def balanced_weights(labels: Array, num_classes: int) -> Array:
    """Weights (K,) float32 with which each class counts the same: n / (K * its examples).

    This is scikit-learn's formula for class_weight="balanced", after King and Zeng (2001, Logistic
    Regression in Rare Events Data, Political Analysis 9:137-163). The mean over the training set is
    1. A class without a training example has 1, and is not counted in K.
    """
    counts = np.bincount(labels, minlength=num_classes)
    present = counts > 0
    weights = np.ones(num_classes, np.float32)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def example_weights(targets: Array, class_weights: Array) -> Array:
    """The weight (B,) of each example of a batch; one of mixed classes has the mix of theirs."""
    weights: Array = targets @ class_weights if targets.ndim == 2 else class_weights[targets]
    return weights


class Batches(keras.utils.PyDataset):
    """Batches of a split in the order of its rows: inputs, targets, and weights if there are any.

    For TensorFlow two workers read them. With one worker Keras lets tf.data tune itself, in a
    thread that doubles its sleep each time (10 ms, 20 ms, ...) and often delays the end of an epoch
    by seconds. Other backends read them in the main thread: there Keras 3.15 looks at a batch
    before the first epoch, and what its workers had read ahead by then, which depends on chance,
    would come again as the first batches of that epoch.

    A rank gets its part of each batch. The last examples are left out if they cannot be divided.
    """

    whole = False  # whether the other examples of a batch change those of this rank

    def __init__(self, split: Split, batch_size: int, num_classes: int, sparse: bool) -> None:
        super().__init__(workers=2 if keras.backend.backend() == "tensorflow" else 1)
        self.images, self.labels = split
        self.batch_size, self.num_classes, self.sparse = batch_size, num_classes, sparse
        self.order = np.arange(ranks.even(len(self.labels)))
        self.class_weights: Array | None = None

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Array, ...]:
        images, labels = self.batch(index)
        if self.whole:
            images, labels = ranks.part(images), ranks.part(labels)
        if self.class_weights is None:
            return images, labels
        return images, labels, example_weights(labels, self.class_weights)

    def batch(self, index: int) -> tuple[Array, Array]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        if not self.whole:
            rows = ranks.part(rows)
        return self.images[rows], targets(self.labels[rows], self.num_classes, self.sparse)


class ShuffledBatches(Batches):
    """Batches of the training set, in an order that depends on the seed and the epoch alone.

    The order of the next epoch is drawn when an epoch ends, because Keras's workers read the first
    batches before `on_epoch_begin` is called.
    """

    def __init__(self, data: Data, batch_size: int, sparse: bool, seed: int, epoch: int) -> None:
        super().__init__(data.train, batch_size, data.num_classes, sparse)
        self.seed, self.epoch = seed, epoch
        self.mixing: list[keras.Layer] = []  # layers that mix the images of a batch
        self.outliers = 0.0  # share of a batch that is added to it
        self.others = data.others
        self.shuffle()

    @property
    def whole(self) -> bool:  # type: ignore[override]
        return bool(self.mixing or self.outliers or self.others is not None)

    def batch(self, index: int) -> tuple[Array, Array]:
        images, labels = super().batch(index)
        if self.mixing:
            (seed,) = np.random.SeedSequence((self.seed, self.epoch, index)).generate_state(1)
            images, labels = augmentation.mixed(images, labels, self.mixing, int(seed) >> 1)
        if self.outliers:
            seeds = (self.seed, self.epoch, index)
            images, labels = outliers.added(images, labels, self.outliers, seeds)
        if self.others is not None:
            seeds = (self.seed, self.epoch, index)
            images, labels = outliers.with_others(images, labels, self.others, seeds)
        return images, labels

    def shuffle(self) -> None:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.labels))
        self.order = order[: ranks.even(len(order))]

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.shuffle()
