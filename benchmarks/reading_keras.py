"""What Keras's `fit` takes of a way to read photos: see benchmarks/reading_ways.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import psutil

from pipeline.files.artifacts import Array


class Shuffled(keras.utils.PyDataset):
    """Keras's PyDataset over a source of bytes and labels, in another random order each epoch."""

    def __init__(
        self, source: Any, decode: Callable[[bytes], Array], batch_size: int, **options: Any
    ) -> None:
        super().__init__(**options)
        self.source, self.decode, self.batch_size = source, decode, batch_size
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.source) // self.batch_size

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        pairs = [self.source[row] for row in rows]
        images = np.stack([self.decode(data) for data, _ in pairs])
        return images, np.array([label for _, label in pairs])

    def on_epoch_end(self) -> None:
        self.order = np.random.default_rng().permutation(len(self.source))


class Idle(keras.Model):
    """Its step takes a batch and does nothing with it."""

    def call(self, images: Any) -> Any:
        return images

    def train_step(self, data: Any) -> dict[str, Any]:
        import tensorflow as tf

        images, labels = data[:2]
        return {"first": tf.cast(images[0, 0, 0, 0], tf.int64) + tf.cast(labels[0], tf.int64)}


class Clock(keras.callbacks.Callback):
    """Prints what `timed` batches took after `warm_up`: seconds, the processor's, and of others.

    They are in the middle of an epoch, so as much is read ahead before them as after them.
    """

    def __init__(self, warm_up: int, timed: int) -> None:
        super().__init__()
        self.warm_up, self.timed, self.created = warm_up, timed, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 0:
            self.first = time.perf_counter() - self.created
        elif batch == self.warm_up:
            self.used, self.busy = tree_seconds(), machine_seconds()
            self.started = time.perf_counter()
        elif batch == self.warm_up + self.timed:
            self.tell()

    def tell(self) -> None:
        seconds, used = time.perf_counter() - self.started, tree_seconds() - self.used
        others = machine_seconds() - self.busy - used
        facts = {"first": self.first, "seconds": seconds, "used": used, "others": others}
        print(json.dumps(facts), flush=True)


def tree_seconds() -> float:
    """The processor's, of this process and of all that it has started."""
    process = psutil.Process()
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(True))]
    own = times[0].children_user + times[0].children_system
    return own + sum(time.user + time.system for time in times)


def machine_seconds() -> float:
    """The processor's, of all programs."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system


def read(batches: Any, warm_up: int, timed: int) -> None:
    model = Idle()
    model.compile()
    steps = 2 * warm_up + timed
    clock = Clock(warm_up, timed)
    model.fit(batches, steps_per_epoch=steps, callbacks=[clock], verbose=0, shuffle=False)
