"""Trainings of the analyses, by the pipeline's own code, each done once.

A result lies in .state/trials/<key>.json. Its key covers params, data and code, as in `train`.
Every analysis that needs the same training reads it there. An interrupted training resumes after
its last complete epoch. Rows come from the raw training part only: no analysis sees the test set.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pipeline import targets
from pipeline.config import params
from pipeline.config.overrides import Overrides
from pipeline.config.params import Params, Train
from pipeline.files import artifacts, digests, pictures, raw, splits
from pipeline.files.artifacts import Array
from pipeline.files.atomic import alone
from pipeline.files.corrections import TRAINING, Edits
from pipeline.files.selection import together_in_splits
from pipeline.process import imports
from pipeline.reporting.measure import Judged
from pipeline.reporting.metrics import ACCURACY
from pipeline.search import judging
from pipeline.training import fingerprint, learning_curves
from pipeline.training.learning_curves import (
    VALIDATION_ACCURACY,
    VALIDATION_ERROR,
    VALIDATION_LOSS,
    Row,
)

if TYPE_CHECKING:  # these import TensorFlow, which only the worker needs
    import keras
    from _typeshed import DataclassInstance

    from pipeline.training.batches import Data
    from pipeline.training.fit import TrainedModel

FOLDER = artifacts.STATE / "trials"
TEST_LABELS = artifacts.RAW / "test" / "labels.npy"

AnyResult = TypeVar("AnyResult", bound="DataclassInstance")


def measure(row: Row) -> str:
    """What an epoch is judged by: validation_accuracy, or of a number the mean validation_error."""
    return VALIDATION_ERROR if VALIDATION_ERROR in row else VALIDATION_ACCURACY


@dataclass(frozen=True)
class TrainingResult:
    """One row per epoch. `kept` is the number, from 1, of the epoch whose weights were kept."""

    key: str
    rows: list[Row]
    kept: int
    validation_examples: int
    batch_losses: list[float] = field(default_factory=list)

    @property
    def measure(self) -> str:
        return measure(self.rows[0])

    @property
    def score(self) -> float:
        """The measure of the kept epoch."""
        return self.rows[self.kept - 1][self.measure]

    @property
    def goodness(self) -> float:
        """The score, of which more is better."""
        return -self.score if self.measure == VALIDATION_ERROR else self.score

    @property
    def accuracy(self) -> float:
        """The validation accuracy of the kept epoch."""
        return self.rows[self.kept - 1][VALIDATION_ACCURACY]

    @property
    def loss(self) -> float:
        """The validation loss of the kept epoch."""
        return self.rows[self.kept - 1][VALIDATION_LOSS]

    @property
    def wrong(self) -> int:
        """How many validation examples are misclassified."""
        return round((1 - self.accuracy) * self.validation_examples)

    @property
    def seconds(self) -> float:
        return learning_curves.seconds(self.rows)


@dataclass(frozen=True)
class CachedTraining:
    """Settings and rows of the raw training part. `values` tell it from the others in a report."""

    name: str
    values: Overrides
    settings: Train
    rows: Array  # the training set
    validation_rows: Array
    every_batch: bool = False  # also record the loss of each batch
    predicts: bool = False  # also keep the probabilities of `predicted_rows`
    held_out: Array | None = None  # rows of which training knows nothing; None: none are

    @property
    def examples(self) -> int:
        """How many examples it processes in all epochs: its cost."""
        return self.settings.epochs * len(self.rows)

    @property
    def predicted_rows(self) -> Array:
        return self.validation_rows if self.held_out is None else self.held_out

    def key(self) -> str:
        held_out = [] if self.held_out is None else [self.held_out]
        parts = [self.rows, self.validation_rows, *held_out]
        rows = [artifacts.array_sha256(part) for part in parts]
        return fingerprint.of_training(
            self.settings, [*data_digests(), *rows, str(self.every_batch)]
        )

    def inputs(self) -> list[Path]:
        return inputs(self.settings)

    def outputs(self) -> list[Path]:
        path = FOLDER / f"{self.key()}.json"
        return [path, path.with_suffix(".npy")] if self.predicts else [path]

    def cached(self) -> TrainingResult | None:
        path = FOLDER / f"{self.key()}.json"
        if not path.exists() or (self.predicts and not path.with_suffix(".npy").exists()):
            return None
        return TrainingResult(**artifacts.load_json(path))

    def probabilities(self) -> Array:
        """The probabilities (P, K) of the predicted rows, once it has run."""
        return artifacts.load_array(FOLDER / f"{self.key()}.npy")

    def judged(self, settings: Params, metric: str = ACCURACY) -> Judged:
        """The answers to the predicted rows, under this metric unless they are numbers."""
        labels = raw.rows(self.predicted_rows)[1]
        return judging.judged(self.probabilities(), labels, settings, metric)

    def run(
        self,
        on_examples: Callable[[int], None] = lambda examples: None,
        on_row: Callable[[Row], None] = lambda row: None,
    ) -> TrainingResult:
        """The result, from the cache or trained now.

        After each epoch `on_examples` gets the number of examples processed, and `on_row` the
        epoch's figures. A resumed training first replays its earlier epochs. If `on_row` raises
        PrunedError, the training stops and is not cached.
        """

        def on_epoch(row: Row) -> None:
            on_examples(len(self.rows))
            on_row(row)

        folder = FOLDER / self.key()
        return once(folder, self.cached, lambda: self._fit(folder, on_epoch))

    def _fit(self, folder: Path, on_row: Callable[[Row], None]) -> TrainingResult:
        # These import TensorFlow, which only the worker needs.
        with imports.keras_import():
            from pipeline.search.batch_losses import BatchLosses
            from pipeline.training import keras_files
            from pipeline.training.batches import Data

        losses = BatchLosses()
        # A checkpoint holds no batch losses, so a training that records them starts over.
        for path in folder.iterdir() if self.every_batch else ():
            path.unlink()
        parts = raw.rows(self.rows), raw.rows(self.validation_rows)
        data = Data.described(*parts, raw.description())
        callbacks = [losses] if self.every_batch else []
        try:
            trained = fitted(self.settings, data, folder, on_row, callbacks)
        except PrunedError as pruned:
            pruned.result = self._unfinished(folder)
            shutil.rmtree(folder)
            raise
        if self.predicts:
            outputs = keras_files.probabilities(trained.model, raw.rows(self.predicted_rows)[0])
            artifacts.save_array(folder.with_suffix(".npy"), outputs)
        validation = len(self.validation_rows)
        return TrainingResult(folder.name, trained.rows, trained.best, validation, losses.values)

    def _unfinished(self, folder: Path) -> TrainingResult:
        from pipeline.training import checkpoint

        rows = checkpoint.read(folder).rows
        best = checkpoint.best_of(self.settings, rows)
        return TrainingResult(folder.name, rows, best, len(self.validation_rows))


def once(
    folder: Path, cached: Callable[[], AnyResult | None], run: Callable[[], AnyResult]
) -> AnyResult:
    """What `cached` finds in <folder>.json, or the dataclass that `run` returns, kept there.

    One process at a time is in the block. `run` may use the folder, which stays as it is if `run`
    is interrupted, and is deleted at the end.
    """
    with alone(folder):
        result = cached()
        if result is None:
            result = run()
            artifacts.save_json(folder.with_suffix(".json"), asdict(result))
        shutil.rmtree(folder)
    return result


def fitted(
    settings: Train,
    data: Data,
    folder: Path,
    on_row: Callable[[Row], None],
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainedModel:
    """Trains, or resumes from the checkpoint in `folder`.

    `on_row` gets the figures of every epoch, those of a resumed training's earlier ones first.
    """
    from pipeline.training import checkpoint, fit

    # TensorFlow warns about retraced graphs, of which each training has its own.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for row in checkpoint.read(folder).rows:
        on_row(row)
    return fit.fit(settings, data, folder, on_row, callbacks)


class PrunedError(Exception):
    """Ends a training that has no hope. `result` is set to what it reached."""

    result: TrainingResult


def inputs(settings: Train) -> list[Path]:
    """The files that trainings with these settings read, from the project's folder."""
    whole = params.load()
    files = [Path(params.FILE), artifacts.RAW / "description.json"]
    files += sorted((artifacts.RAW / "train").glob("*"))
    photos = pictures.on_disk(raw.load("train")[0])
    if photos is not None:
        files += photos.files_here()
    if whole.preprocess.corrections != params.NONE:
        files += [Path(whole.preprocess.corrections), *sorted((artifacts.RAW / "test").glob("*"))]
    if settings.starts_from_a_file:
        files.append(Path(settings.start_from))
    return list(dict.fromkeys(files))


def split_rows(settings: Params) -> tuple[Array, Array]:
    """The rows of training set and validation set, as in `preprocess`. Raises UserError."""
    judging.described(settings)
    has_test = len(artifacts.load_array(TEST_LABELS)) > 0
    test = None if has_test else settings.dataset.test
    groups = together_in_splits(settings.preprocess.group)
    split = splits.splits(strata(Edits()), test, settings.preprocess, raw.validation_rows(), groups)
    edits = raw.edits(TRAINING)
    return edits.left(split["train"]), edits.left(split["validation"])


def strata(edits: Edits | None = None) -> Array:
    """The strata (N,) of the raw training part, such as its classes, with corrected labels.

    Those with no edits, as published, decide which example is in which split.
    """
    edits = raw.edits(TRAINING) if edits is None else edits
    labels = edits.labels(np.asarray(raw.load("train")[1]))
    return targets.target(raw.description().target).strata(labels)


@cache
def data_digests() -> tuple[str, ...]:
    """SHA-256 of each file of the raw training part, and of corrected labels."""
    paths = sorted((artifacts.RAW / "train").glob("*"))
    changed = raw.edits(TRAINING).changed
    labels = [digests.of_facts([str(sorted(changed.items()))])] if changed else []
    return *(artifacts.sha256(path) for path in paths), *labels
