"""Compares training on JAX with a plain JAX loop, in images a second, on the CPU or a GPU.

    python -m benchmarks.jax_loop [--photos 4096] [--only MobileNet]

Both train the same Keras network with the same optimizer, loss, augmentation and batches. Ours is
`fit.fit`: Keras's trainer with all of the pipeline's callbacks, a checkpoint and a validation after
every epoch. The loop is what one writes by hand after Keras's guide to JAX: one jitted step that
gets a batch from memory, and a validation after every epoch. The first epoch of each compiles and
does not count. Two further rows show where the time goes: the batches alone, and the step alone, on
one batch that stays on the device.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from pipeline.config import params
from pipeline.config.params import Train
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array
from pipeline.process import imports
from pipeline.training.learning_curves import IMAGES_PER_SECOND

with imports.keras_import():
    import keras

    from pipeline.training import compilation, fit, models
    from pipeline.training.batches import Data, ShuffledBatches, targets

EPOCHS = 4
ROUNDS = 2  # ours and the loop, in turn
PHOTO = (224, 224, 3)


@dataclass(frozen=True)
class Workload:
    name: str
    train: Train
    data: Data

    def batches(self, epoch: int) -> ShuffledBatches:
        size = self.data.batch(self.train.batch_size)
        return ShuffledBatches(self.data, size, False, self.train.seed, epoch)


def workloads(photos: int) -> list[Workload]:
    """The default recipe on the prepared data, and a MobileNet of width 1 on noise of PHOTO."""
    recipe = params.load().train.model_copy(update={"epochs": EPOCHS})
    prepared = Data.described(
        split_files.load_split("train"),
        split_files.load_split("validation"),
        artifacts.load_description(),
    )
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (photos, *PHOTO), np.uint8)
    labels = rng.integers(0, 10, photos)
    held_out = max(1, photos // 10)
    photo_data = Data((noise, labels), (noise[:held_out], labels[:held_out]), 10)
    changes = {"architecture": "mobilenet_v1", "augmentation": [], "batch_size": 128}
    network = recipe.network.model_copy(update={"width": 1.0})
    mobilenet = recipe.model_copy(update={**changes, "network": network})
    return [
        Workload(f"default recipe, batches of {recipe.batch_size}", recipe, prepared),
        Workload("MobileNet at 224 x 224, float32", mobilenet, photo_data),
        Workload(
            "MobileNet at 224 x 224, mixed_bfloat16",
            mobilenet.model_copy(update={"precision": "mixed_bfloat16"}),
            photo_data,
        ),
    ]


def ours(work: Workload) -> float:
    """Images a second of `fit.fit`: the median of all epochs but the first."""
    with tempfile.TemporaryDirectory() as folder:
        trained = fit.fit(work.train, work.data, Path(folder) / "state", lambda row: None)
    return statistics.median(row[IMAGES_PER_SECOND] for row in trained.rows[1:])


class Loop:
    """The plain loop. Its state is trainable and other weights, and the optimizer's."""

    def __init__(self, work: Workload) -> None:
        keras.config.set_dtype_policy(work.train.precision)
        self.work = work
        data, recipe = work.data, work.train
        self.model = models.with_augmentation(recipe, models.build(recipe, data), data)
        steps = EPOCHS * len(work.batches(0))
        compilation.compile_for(recipe, self.model, recipe.learning_rate, steps)
        self.loss, self.optimizer = self.model.loss, self.model.optimizer
        self.state = tuple(
            [variable.value for variable in variables]
            for variables in (
                self.model.trainable_variables,
                self.model.non_trainable_variables,
                self.optimizer.variables,
            )
        )
        self.step = jax.jit(self._step, donate_argnums=0)
        self.validate = jax.jit(self._validate)

    def _step(self, state: Any, images: Any, labels: Any) -> Any:
        trainable, others, optimizer = state

        def total(trainable: Any) -> Any:
            outputs, changed = self.model.stateless_call(trainable, others, images, training=True)
            right = (outputs.argmax(-1) == labels.argmax(-1)).sum()
            return self.loss(labels, outputs), (changed, right)

        (loss, (others, right)), gradients = jax.value_and_grad(total, has_aux=True)(trainable)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return (trainable, others, optimizer), loss, right

    def _validate(self, state: Any, images: Any, labels: Any) -> Any:
        outputs, _ = self.model.stateless_call(state[0], state[1], images, training=False)
        return (outputs.argmax(-1) == labels.argmax(-1)).sum(), self.loss(labels, outputs)

    def epoch(self, number: int) -> None:
        sums = []
        for images, labels in _all(self.work.batches(number)):
            self.state, *measures = self.step(self.state, images, labels)
            sums.append(measures)
        jax.block_until_ready(sums)
        images, labels = self.work.data.validation
        size = self.work.data.batch(self.work.train.batch_size)
        for start in range(0, len(labels), size):
            expected = targets(np.asarray(labels[start : start + size]), 10, sparse=False)
            jax.block_until_ready(self.validate(self.state, images[start : start + size], expected))


def loop(work: Workload) -> float:
    """Images a second of the plain loop: the median of all epochs but the first."""
    plain = Loop(work)
    return _median_rate(plain.epoch, len(work.data.train[1]))


def batches_alone(work: Workload) -> float:
    def epoch(number: int) -> None:
        for _ in _all(work.batches(number)):
            pass

    return _median_rate(epoch, len(work.data.train[1]))


def step_alone(work: Workload) -> float:
    plain = Loop(work)
    batch = jax.device_put(work.batches(0)[0])

    def epoch(number: int) -> None:
        for _ in range(len(work.batches(0))):
            plain.state, *measures = plain.step(plain.state, *batch)
        jax.block_until_ready((plain.state, measures))

    return _median_rate(epoch, len(work.data.train[1]))


def _all(batches: ShuffledBatches) -> Iterator[tuple[Array, ...]]:
    return (batches[index] for index in range(len(batches)))


def _median_rate(epoch: Callable[[int], None], images: int) -> float:
    seconds = []
    for number in range(EPOCHS):
        started = time.perf_counter()
        epoch(number)
        seconds.append(time.perf_counter() - started)
    return images / statistics.median(seconds[1:])


def table(works: list[Workload]) -> Table:
    result = Table("", "ours", "plain loop", "ratio", "step alone", "batches alone")
    for work in works:
        rates = [(ours(work), loop(work)) for _ in range(ROUNDS)]
        mine, plain = (statistics.median(side) for side in zip(*rates, strict=True))
        alone = (step_alone(work), batches_alone(work))
        cells = [f"{mine:,.0f}", f"{plain:,.0f}", f"{mine / plain:.2f}"]
        result.add_row(work.name, *cells, *(f"{rate:,.0f}" for rate in alone))
        print(f"{work.name}: {rates}, {alone}", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=4096, help="number of photos")
    parser.add_argument("--only", help="part of the name of one workload")
    arguments = parser.parse_args()
    works = [work for work in workloads(arguments.photos) if (arguments.only or "") in work.name]
    device = jax.devices()[0].device_kind
    print(f"Images a second on {device}; the host is {machine.sentence()}")
    Console().print(table(works))


if __name__ == "__main__":
    main()
