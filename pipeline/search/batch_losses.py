"""The loss of every single batch, of which Keras tells the mean since the beginning of the epoch."""

from __future__ import annotations

import math
from typing import Any

import keras


class BatchLosses(keras.callbacks.Callback):
    """Collects the losses, and stops the training where one is no number any more or far above the lowest."""

    BLOWN_UP = 10.0  # times the lowest loss so far

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []
        self.total = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.total = 0.0
        self.first = len(self.values)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        total = (len(self.values) - self.first + 1) * float(
            logs["loss"]
        )  # all batches but the last are equally large
        loss, self.total = total - self.total, total
        self.values.append(loss)
        if not math.isfinite(loss) or loss > self.BLOWN_UP * max(min(self.values), 1e-12):
            self.model.stop_training = True
