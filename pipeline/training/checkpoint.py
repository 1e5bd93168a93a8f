"""What an interrupted training needs to go on: the learning curves so far, the last weights and the best, the random states."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from pipeline.config.params import Train
from pipeline.files import artifacts, atomic
from pipeline.training.averaging import averaged
from pipeline.training.learning_curves import Row, best_epoch, measures

STATE = "state.json"


def read(folder: Path) -> dict[str, Any]:
    """The rows and random states of an interrupted training; none, after a warning, where what lies there is not whole."""
    if (folder / STATE).exists():
        try:
            state: dict[str, Any] = artifacts.load_json(folder / STATE)
            if all(
                artifacts.sha256(folder / name) == digest
                for name, digest in state["sha256"].items()
            ):
                return state
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            pass
        print(
            f"warning: {folder} is damaged, as after a power cut; the training starts afresh",
            file=sys.stderr,
            flush=True,
        )
        for path in folder.iterdir():
            path.unlink()
    return {"rows": [], "seeds": []}


class State(keras.callbacks.Callback):
    """After every epoch: the learning curves, the best weights, and all that is needed to go on, written whole or not at all."""

    def __init__(
        self, folder: Path, chosen: Train, images: int, on_row: Callable[[Row], None]
    ) -> None:
        super().__init__()
        self.folder, self.chosen, self.images, self.on_row = folder, chosen, images, on_row
        self.rows: list[Row] = []
        self.seeds: list[Any] = []
        self.started = 0.0

    def read(self) -> int:
        """Reads how far an interrupted training came; the number of its whole epochs."""
        state = read(self.folder)
        self.rows, self.seeds = state["rows"], state["seeds"]
        return len(self.rows)

    def resume(self) -> None:
        """Gives the model, compiled as it was, the weights, the optimizer and the random states of the last whole epoch."""
        self.model.load_weights(self.folder / f"{len(self.rows)}.weights.h5")
        for seed, value in zip(self._seeds(), self.seeds, strict=True):
            seed.assign(value)

    def _seeds(self) -> list[keras.Variable]:
        """The states of the random generators of dropout and augmentation, which Keras does not count among the weights."""
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
        times = {
            "learning_rate": rate,
            "seconds": seconds,
            "images_per_second": self.images / seconds,
        }
        self.rows.append({"epoch": epoch + 1, **measures(logs or {}), **times})
        self._save()
        self.on_row(self.rows[-1])
        if self.should_stop():
            self.model.stop_training = True

    def _save(self) -> None:
        """state.json is written last: the weights it names are whole, and on the disk, by then."""
        self.folder.mkdir(parents=True, exist_ok=True)
        count, best = len(self.rows), best_epoch(self.rows, self.chosen.keep)
        last, kept = f"{count}.weights.h5", f"best-{best}.weights.h5"
        self._write(last, self.model)
        if best == count:
            with averaged(self.model):
                self._write(kept, self._architecture())
        seeds = [keras.ops.convert_to_numpy(seed).tolist() for seed in self._seeds()]
        digests = {name: artifacts.sha256(self.folder / name) for name in (last, kept)}
        artifacts.save_json(
            self.folder / STATE, {"rows": self.rows, "seeds": seeds, "sha256": digests}
        )
        for path in self.folder.iterdir():
            if path.name not in (last, kept, STATE):
                path.unlink()

    def _write(self, name: str, model: keras.Model) -> None:
        model.save_weights(self.folder / name)
        atomic.sync(self.folder / name)

    def should_stop(self) -> bool:
        patience = self.chosen.patience
        return (
            patience is not None
            and len(self.rows) - best_epoch(self.rows, self.chosen.keep) >= patience
        )

    def _architecture(self) -> keras.Model:
        """The model without augmentation and optimizer."""
        return self.model.layers[-1]

    def load_best(self) -> None:
        self._architecture().load_weights(
            self.folder / f"best-{best_epoch(self.rows, self.chosen.keep)}.weights.h5"
        )
