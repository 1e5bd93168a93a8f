"""The trainings of an example: every variation with every seed, in parallel, each done once.

A result lies in .state/lectures/trainings/<key>.json. Its key covers params, data and code, as in
`train`. An interrupted training resumes after its last complete epoch. An example measures what a
lecture has published, so the kept model is evaluated on the test set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lectures import data
from lectures.example import Example, Variation
from lectures.outcome import Figure, Outcome, rounded
from pipeline.config.params import Params, Train
from pipeline.diagnosis import rules
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array
from pipeline.files.reports.preprocess import Evidence, PreprocessReport
from pipeline.process import imports
from pipeline.process.words import counted
from pipeline.search import engine, workers
from pipeline.search.cached_training import fitted, once
from pipeline.search.engine import Engine
from pipeline.training import fingerprint, learning_curves
from pipeline.training.learning_curves import (
    EPOCH,
    TRAIN_ACCURACY,
    TRAIN_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_LOSS,
    Row,
)

FOLDER = data.FOLDER / "trainings"
UNDIVIDED = "undivided_test_accuracy"


class CachedTask(workers.Task, Protocol):
    """A task whose result is cached in a file."""

    def key(self) -> str:
        """A digest of all that its result depends on."""
        ...

    def cached(self) -> Any:
        """Its result, or None if it has not been run."""
        ...


AnyTask = TypeVar("AnyTask", bound=CachedTask)


@dataclass(frozen=True)
class TestedTraining:
    """`kept` is the number, from 1, of the kept epoch; `tested` holds figures of the test set."""

    rows: list[Row]
    kept: int
    layers: dict[str, float]
    tested: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class ExampleTraining:
    """One variation with one seed, on the data in a folder where preprocess has run."""

    name: str
    settings: Train
    folder: Path
    undivided: bool  # also test on undivided pixels, see `without_division`

    @property
    def examples(self) -> int:
        return self.settings.epochs * len(self._split("train")[1])

    def key(self) -> str:
        return fingerprint.of_training(
            self.settings, [*digests(self.folder), "tested", str(self.undivided)]
        )

    def inputs(self) -> list[Path]:
        return inputs(self.settings, self.folder)

    def outputs(self) -> list[Path]:
        return [FOLDER / f"{self.key()}.json"]

    def cached(self) -> TestedTraining | None:
        path = FOLDER / f"{self.key()}.json"
        return TestedTraining(**artifacts.load_json(path)) if path.exists() else None

    def run(self, on_examples: Callable[[int], None]) -> TestedTraining:
        """The result, from the cache or trained now. Raises UserError.

        `on_examples` gets the number of examples processed in each epoch.
        """
        folder, count = FOLDER / self.key(), len(self._split("train")[1])
        return once(folder, self.cached, lambda: self._fit(folder, lambda row: on_examples(count)))

    def _fit(self, folder: Path, on_row: Callable[[Row], None]) -> TestedTraining:
        # These import TensorFlow, which only the worker needs.
        from pipeline.training import checkpoint
        from pipeline.training.batches import Data

        started = time.perf_counter()
        earlier = learning_curves.seconds(checkpoint.read(folder).rows)
        description = artifacts.load_description(self.folder / artifacts.DESCRIPTION)
        parts = self._split("train"), self._split("validation")
        trained = fitted(self.settings, Data.described(*parts, description), folder, on_row)
        with imports.quiet():
            tested = {
                "parameters": trained.model.count_params(),
                "test_accuracy": self._accuracy(trained.model),
            }
            if self.undivided:
                tested[UNDIVIDED] = self._accuracy(without_division(trained.model))
        seconds = time.perf_counter() - started + earlier
        return TestedTraining(trained.rows, trained.best, trained.layers, tested, seconds)

    def _split(self, name: str) -> tuple[Array, Array]:
        return split_files.load_split(name, self.folder / artifacts.PREPARED)

    def _accuracy(self, model: Any) -> float:
        from pipeline.training import keras_files

        images, labels = self._split("test")
        return float((keras_files.probabilities(model, images).argmax(1) == labels).mean())


def without_division(model: Any) -> Any:
    """The same model, but pixels from 0 to 255 reach its weights undivided.

    The lecture divided its training images by 255, but not its test images.
    """
    import keras

    changed = keras.models.clone_model(model)
    changed.set_weights(model.get_weights())
    for layer in changed.layers:
        if isinstance(layer, keras.layers.Rescaling):
            layer.scale = 1.0
    return changed


def inputs(settings: Train, folder: Path) -> list[Path]:
    """The files that a training reads, on the data in a folder where preprocess has run."""
    prepared = sorted((folder / artifacts.PREPARED).glob("*/*.npy"))
    start = [Path(settings.start_from)] if settings.starts_from_a_file else []
    return [folder / artifacts.DESCRIPTION, *prepared, *start]


@cache
def digests(folder: Path) -> tuple[str, ...]:
    """SHA-256 of each array in a folder where preprocess has run."""
    return tuple(
        artifacts.sha256(path) for path in sorted((folder / artifacts.PREPARED).glob("*/*.npy"))
    )


def outcomes(example: Example, where: Engine, quick: bool) -> tuple[list[Outcome], str]:
    """The outcome of each variation, and a description of the data. Raises UserError."""
    settings = example.all_params(quick)
    tasks = {
        variation.name: trainings(example, variation, settings[variation.name], quick)
        for variation in example.variations
    }
    measured = [
        outcome(name, of_variation, tasks[name][0].folder, settings[name].problem.target)
        for name, of_variation in results(tasks, where, describe).items()
    ]
    return measured, data.describe(settings.values())


def trainings(
    example: Example, variation: Variation, settings: Params, quick: bool
) -> list[ExampleTraining]:
    """One training per seed. Raises UserError."""
    folder, undivided = data.prepared(settings), UNDIVIDED in example.shown(variation)
    return [
        ExampleTraining(
            f"{variation.name}, seed {seed}",
            settings.train.model_copy(update={"seed": seed}),
            folder,
            undivided,
        )
        for seed in example.seeds_of(variation, quick)
    ]


def results(
    tasks: Mapping[str, Sequence[AnyTask]], where: Engine, describe: Callable[[AnyTask, Any], str]
) -> dict[str, list[Any]]:
    """The results of the tasks of each variation, from the cache or run now. Raises UserError."""
    every = [task for group in tasks.values() for task in group]
    by_key = {task.key(): result for task in every if (result := task.cached()) is not None}
    todo = list({task.key(): task for task in every if task.key() not in by_key}.values())
    if len(todo) < len(every):
        done = f"{len(every) - len(todo)} of {counted(len(every), 'training')}"
        print(f"{done} already done", flush=True)
    for number, result in engine.results(todo, where, describe):
        by_key[todo[number].key()] = result
    return {name: [by_key[task.key()] for task in group] for name, group in tasks.items()}


def describe(task: ExampleTraining, result: TestedTraining) -> str:
    validation = result.rows[result.kept - 1][VALIDATION_ACCURACY]
    test = result.tested["test_accuracy"]
    return (
        f"{task.name}: validation accuracy {validation:.4f}, test accuracy {test:.4f},"
        f" {result.seconds:.1f} s"
    )


def outcome(name: str, results: Sequence[TestedTraining], folder: Path, target: float) -> Outcome:
    """The figures of one variation, one value per seed."""
    evidence = PreprocessReport.load(folder / PreprocessReport.PATH).evidence
    by_seed = [figures(result, evidence, target) for result in results]
    rows = results[0].rows
    curves = {
        measure: rounded([row[measure] for row in rows])
        for measure in (EPOCH, *learning_curves.MEASURES)
    }
    return Outcome(
        name,
        {measure: [figures[measure] for figures in by_seed] for measure in by_seed[0]},
        curves,
        round(sum(result.seconds for result in results), 1),
    )


def figures(result: TestedTraining, evidence: Evidence | None, target: float) -> dict[str, Figure]:
    """All that an example may show of one training.

    A plain name is the kept epoch; `first_` the first one. Gaps are those of the last epoch.
    `lowest_epoch` is the epoch of the lowest validation loss.
    """
    first, kept, last = result.rows[0], result.rows[result.kept - 1], result.rows[-1]
    return {
        **{measure: kept[measure] for measure in learning_curves.MEASURES},
        **{f"first_{measure}": first[measure] for measure in learning_curves.MEASURES},
        "loss_gap": last[VALIDATION_LOSS] - last[TRAIN_LOSS],
        "accuracy_gap": last[TRAIN_ACCURACY] - last[VALIDATION_ACCURACY],
        "lowest_epoch": float(learning_curves.best_epoch(result.rows, VALIDATION_LOSS)),
        "highest_validation_accuracy": max(row[VALIDATION_ACCURACY] for row in result.rows),
        "epochs": float(len(result.rows)),
        **result.tested,
        "verdict": rules.diagnose(result.rows, evidence, result.layers, target).verdict,
    }
