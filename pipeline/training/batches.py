"""What the training loop is fed with: shuffled batches read from memory-mapped arrays, and labels as the loss wants them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from pipeline.artifacts import Array, Inputs

Split = tuple[Array, Array]  # images (N, H, W, C) uint8 or ids (N, L) int32, labels (N,)


@dataclass(frozen=True)
class Data:
    train: Split
    validation: Split
    num_classes: int
    highest: int = 255  # what a pixel can be, or an id

    @property
    def inputs(self) -> Inputs:
        return Inputs(self.train[0].shape[1:], str(self.train[0].dtype), self.highest)

    def batch(self, size: int | Literal["full"]) -> int:
        """The batch size as a number: full is all of p-training."""
        return len(self.train[1]) if size == "full" else size


def targets(labels: Array, num_classes: int, sparse: bool) -> Array:
    """Labels (N,) as int32 for a sparse loss, and as one-hot rows (N, K) float32 for any other."""
    return labels.astype("int32") if sparse else np.eye(num_classes, dtype="float32")[labels]


class Batches(keras.utils.PyDataset):
    """Batches of p-training. The order of an epoch follows from the seed and its number alone."""

    def __init__(self, data: Data, batch_size: int, sparse: bool, seed: int, epoch: int) -> None:
        super().__init__()
        self.images, self.labels = data.train
        self.num_classes, self.sparse = data.num_classes, sparse
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch
        self.on_epoch_begin()

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[rows], targets(self.labels[rows], self.num_classes, self.sparse)

    def on_epoch_begin(self) -> None:
        self.order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.labels))

    def on_epoch_end(self) -> None:
        self.epoch += 1
