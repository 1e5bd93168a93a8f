"""What an interrupted training needs to go on: the learning curves so far, the last weights and the best, the random states."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from pipeline import artifacts
from pipeline.params import Train
from pipeline.training.learning_curves import Row, best_epoch, measures


class State(keras.callbacks.Callback):
    """After every epoch: the learning curves, the best weights, and all that is needed to go on, written whole or not at all."""

    def __init__(self, folder: Path, chosen: Train, images: int, on_row: Callable[[Row], None]) -> None:
        super().__init__()
        self.folder, self.chosen, self.images, self.on_row = folder, chosen, images, on_row
        self.rows: list[Row] = []
        self.seeds: list[Any] = []
        self.started = 0.0

    def read(self) -> int:
        """Reads how far an interrupted run came; the number of its whole epochs."""
        path = self.folder / "state.json"
        if path.exists():
            state = artifacts.load_json(path)
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
        return [variable for variable in self.model.non_trainable_variables if id(variable) not in weights]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.started
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        times = {"learning_rate": rate, "seconds": seconds, "images_per_second": self.images / seconds}
        self.rows.append({"epoch": epoch + 1, **measures(logs or {}), **times})
        self._save()
        self.on_row(self.rows[-1])
        if self.should_stop():
            self.model.stop_training = True

    def _save(self) -> None:
        """state.json is written last: the weights it counts are whole when it names them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        count = len(self.rows)
        self.model.save_weights(self.folder / f"{count}.weights.h5")
        if best_epoch(self.rows, self.chosen.keep) == count:
            self._architecture().save_weights(self.folder / f"best-{count}.weights.h5")
        seeds = [keras.ops.convert_to_numpy(seed).tolist() for seed in self._seeds()]
        artifacts.save_json(self.folder / "state.json", {"rows": self.rows, "seeds": seeds})
        kept = {f"{count}.weights.h5", f"best-{best_epoch(self.rows, self.chosen.keep)}.weights.h5", "state.json"}
        for path in self.folder.iterdir():
            if path.name not in kept:
                path.unlink()

    def should_stop(self) -> bool:
        patience = self.chosen.patience
        return patience is not None and len(self.rows) - best_epoch(self.rows, self.chosen.keep) >= patience

    def _architecture(self) -> keras.Model:
        """The model without augmentation and optimizer."""
        return self.model.layers[-1]

    def load_best(self) -> None:
        self._architecture().load_weights(self.folder / f"best-{best_epoch(self.rows, self.chosen.keep)}.weights.h5")
