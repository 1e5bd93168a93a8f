"""The loss of each batch. Keras reports only the mean since the start of the epoch."""

from __future__ import annotations

import math
from typing import Any

import keras


class BatchLosses(keras.callbacks.Callback):
    """Records batch losses. Stops a training whose loss is not finite or far above its lowest."""

    BLOWN_UP = 10.0  # times the lowest loss so far

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []
        self.total = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.total = 0.0
        self.first = len(self.values)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # The sum of the losses, as all batches but the last have the same size.
        total = (len(self.values) - self.first + 1) * float(logs["loss"])
        loss, self.total = total - self.total, total
        self.values.append(loss)
        if not math.isfinite(loss) or loss > self.BLOWN_UP * max(min(self.values), 1e-12):
            self.model.stop_training = True
