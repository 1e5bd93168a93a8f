"""Checkpoint of an interrupted training: its curves, last and best weights, and random states."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from pipeline.config.params import Train
from pipeline.files import artifacts, atomic
from pipeline.process import ranks
from pipeline.training import distribution
from pipeline.training.averaging import averaged
from pipeline.training.learning_curves import (
    EPOCH,
    IMAGES_PER_SECOND,
    LEARNING_RATE,
    SECONDS,
    Row,
    best_epoch,
    measures,
)

FILE = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """The rows of the epochs so far, the random states, and the digest of each file of weights."""

    rows: list[Row]
    seeds: list[Any]
    sha256: dict[str, str]


def read(folder: Path) -> Checkpoint:
    """The checkpoint of an interrupted training; one without rows if there is none.

    A damaged checkpoint is deleted with a warning.
    """
    if (folder / FILE).exists():
        try:
            checkpoint = Checkpoint(**artifacts.load_json(folder / FILE))
            if _is_whole(folder, checkpoint.sha256):
                return checkpoint
        except (AttributeError, FileNotFoundError, TypeError, ValueError):
            pass
        print(
            f"warning: {folder} is damaged, as after a power cut; training starts over",
            file=sys.stderr,
            flush=True,
        )
        for path in folder.iterdir():
            path.unlink()
    return Checkpoint([], [], {})


def _is_whole(folder: Path, digests: dict[str, str]) -> bool:
    return all(artifacts.sha256(folder / name) == digest for name, digest in digests.items())


def best_of(params: Train, rows: list[Row]) -> int:
    """The number of the best epoch; of a quantization-aware training, one that has rounded."""
    skipped = params.epochs - params.quantized_epochs if params.quantization_aware else 0
    return best_epoch(rows, params.keep, skipped)


class Checkpointing(keras.callbacks.Callback):
    """Saves, after every epoch, the curves, the best weights and what is needed to resume.

    A checkpoint is written completely or not at all, and of several ranks by the first alone.
    """

    def __init__(
        self, folder: Path, params: Train, images: int, on_row: Callable[[Row], None]
    ) -> None:
        super().__init__()
        self.folder, self.train_params, self.images, self.on_row = folder, params, images, on_row
        self.rows: list[Row] = []
        self.seeds: list[Any] = []
        self.started = 0.0

    def read(self) -> int:
        """Reads the checkpoint; returns the number of completed epochs."""
        checkpoint = read(self.folder)
        self.rows, self.seeds = checkpoint.rows, checkpoint.seeds
        return len(self.rows)

    def resume(self) -> None:
        """Restores weights, optimizer and random states of the last completed epoch.

        The model must be compiled as it was then.
        """
        self.model.load_weights(self.folder / f"{len(self.rows)}.weights.h5")
        for seed, value in zip(self._seeds(), self.seeds, strict=True):
            seed.assign(value)

    def _seeds(self) -> list[keras.Variable]:
        """The states of the random generators of dropout and augmentation.

        Keras does not count them among the weights, so `save_weights` leaves them out.
        """
        weights = {id(weight) for weight in self.model.weights}
        return [
            variable
            for variable in self.model.non_trainable_variables
            if id(variable) not in weights
        ]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.started
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.rows.append(
            {
                EPOCH: epoch + 1,
                **measures(logs or {}),
                LEARNING_RATE: rate,
                SECONDS: seconds,
                IMAGES_PER_SECOND: self.images / seconds,
            }
        )
        self._save()
        self.on_row(self.rows[-1])
        if self.should_stop():
            self.model.stop_training = True

    def _save(self) -> None:
        """FILE is written last: by then the weights it names are complete and on disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        last, best = f"{len(self.rows)}.weights.h5", self._best_file()
        self._write(last, self.model)
        if self._best_epoch() == len(self.rows):
            with averaged(self.model):
                self._write(best, self._architecture())
        if ranks.rank() > 0:
            return
        seeds = [keras.ops.convert_to_numpy(seed).tolist() for seed in self._seeds()]
        digests = {name: artifacts.sha256(self.folder / name) for name in (last, best)}
        artifacts.save_json(self.folder / FILE, asdict(Checkpoint(self.rows, seeds, digests)))
        for path in self.folder.iterdir():
            if path.name not in (last, best, FILE):
                path.unlink()

    def _write(self, name: str, model: keras.Model) -> None:
        if ranks.rank() > 0:
            return
        with distribution.alone():
            model.save_weights(self.folder / name)
        atomic.sync(self.folder / name)

    def should_stop(self) -> bool:
        patience = self.train_params.patience
        return patience is not None and len(self.rows) - self._best_epoch() >= patience

    def load_best(self) -> None:
        self._architecture().load_weights(self.folder / self._best_file())

    def _architecture(self) -> keras.Model:
        """The model without augmentation and optimizer."""
        return self.model.layers[-1]

    def _best_epoch(self) -> int:
        return best_of(self.train_params, self.rows)

    def _best_file(self) -> str:
        return f"best-{self._best_epoch()}.weights.h5"
