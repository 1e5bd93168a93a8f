"""A training that a question asks for, made by the line's own code and made once.

What comes of it lies in .state/trials/<key>.json, keyed as the line keys its trainings: by params, data and code. Whatever
asks for the same training again, with whatever question, reads it there; one that was interrupted goes on from its last
whole epoch. The rows are those of the raw training part alone: no question sees the test set.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import Params, Train
from pipeline.files import artifacts, splits
from pipeline.files.artifacts import Array
from pipeline.files.atomic import alone
from pipeline.process.errors import UserError
from pipeline.training import fingerprint, learning_curves
from pipeline.training.learning_curves import Row

FOLDER = artifacts.STATE / "trials"


@dataclass(frozen=True)
class Result:
    """What came of a training: a row for each epoch, and the number, from 1, of the one whose weights were kept."""

    key: str
    rows: list[Row]
    kept: int
    validation_examples: int
    batch_losses: list[float] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """Of validation, as all that is told here; no question sees the test set."""
        return self.rows[self.kept - 1]["validation_accuracy"]

    @property
    def loss(self) -> float:
        return self.rows[self.kept - 1]["validation_loss"]

    @property
    def wrong(self) -> int:
        """How many validation examples were classified wrongly."""
        return round((1 - self.accuracy) * self.validation_examples)

    @property
    def seconds(self) -> float:
        return sum(row["seconds"] for row in self.rows)


@dataclass(frozen=True)
class Training:
    """What to fit on which rows of the raw training part; `values` are what sets it apart from its sisters."""

    name: str
    values: dict[str, Any]
    chosen: Train
    rows: Array  # of p-training
    validation_rows: Array
    every_batch: bool = False  # the loss of each batch is kept too

    @property
    def examples(self) -> int:
        """How many examples it sees in all: what it costs."""
        return self.chosen.epochs * len(self.rows)

    def key(self) -> str:
        rows = [artifacts.array_sha256(part) for part in (self.rows, self.validation_rows)]
        return fingerprint.of_training(self.chosen, [*digests(), *rows, str(self.every_batch)])

    def known(self) -> Result | None:
        """What came of it, where it has been made."""
        path = FOLDER / f"{self.key()}.json"
        return Result(**artifacts.load_json(path)) if path.exists() else None

    def run(
        self,
        saw: Callable[[int], None] = lambda examples: None,
        on_row: Callable[[Row], None] = lambda row: None,
    ) -> Result:
        """What came of it, made now where it has not been.

        After each epoch `saw` is told how many examples that was, and `on_row` its figures; of a training that goes on, also
        those of the epochs that lie behind it. Where it raises GivenUpError, the training ends there and is forgotten.
        """
        key = self.key()
        folder = FOLDER / key

        def told(row: Row) -> None:
            saw(len(self.rows))
            on_row(row)

        with alone(folder):
            result = self.known()
            try:
                if result is None:
                    result = self._fit(key, folder, told)
                    artifacts.save_json(FOLDER / f"{key}.json", asdict(result))
            except GivenUpError as given_up:
                given_up.result = self._so_far(key, folder)
                shutil.rmtree(folder)
                raise
            shutil.rmtree(folder)
        return result

    def _fit(self, key: str, folder: Path, on_row: Callable[[Row], None]) -> Result:
        from pipeline.search.batch_losses import BatchLosses
        from pipeline.training import (
            checkpoint,
            fit,
        )  # TensorFlow, which the process that asks does not need
        from pipeline.training.batches import Data

        logging.getLogger("tensorflow").setLevel(
            logging.ERROR
        )  # it warns of one new graph for each training
        losses = BatchLosses()
        for path in folder.iterdir() if self.every_batch else ():
            path.unlink()  # of the batches that lie behind it no losses are known
        for row in checkpoint.read(folder)["rows"]:
            on_row(row)
        data = Data(selected(self.rows), selected(self.validation_rows), *ranges())
        trained = fit.fit(self.chosen, data, folder, on_row, [losses] if self.every_batch else [])
        return Result(key, trained.rows, trained.best, len(self.validation_rows), losses.values)

    def _so_far(self, key: str, folder: Path) -> Result:
        rows = artifacts.load_json(folder / "state.json")["rows"]
        return Result(
            key, rows, learning_curves.best_epoch(rows, self.chosen.keep), len(self.validation_rows)
        )


class GivenUpError(Exception):
    """Whoever is told of an epoch has no hope in the training; `result` is what came of it up to there."""

    result: Result


def rows_of(chosen: Params) -> tuple[Array, Array]:
    """Row numbers of p-training and of validation, as preprocess has them. Raises UserError."""
    description = artifacts.load_description(artifacts.RAW / "description.json")
    if description.name != chosen.dataset.name:
        raise UserError(
            f"data/raw holds {description.name} and params.yaml names {chosen.dataset.name}: `dvc repro preprocess` brings it"
        )
    has_test = len(artifacts.load_split("test", artifacts.RAW)[1]) > 0
    split = splits.splits(labels(), None if has_test else chosen.dataset.test, chosen.preprocess)
    return split["train"], split["validation"]


def labels() -> Array:
    """Those of the raw training part (N,)."""
    return np.asarray(artifacts.load_split("train", artifacts.RAW)[1])


def selected(rows: Array) -> tuple[Array, Array]:
    images, labels = artifacts.load_split("train", artifacts.RAW)
    return images[rows], labels[rows]


def ranges() -> tuple[int, int]:
    """How many classes there are, and the highest pixel or id."""
    description = artifacts.load_description(artifacts.RAW / "description.json")
    return len(description.class_names), description.highest


@cache
def digests() -> tuple[str, ...]:
    """What the raw training part is."""
    return tuple(artifacts.sha256(path) for path in sorted((artifacts.RAW / "train").glob("*.npy")))
