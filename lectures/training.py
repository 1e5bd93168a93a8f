"""The trainings of a study: every variation with every seed, side by side, each made once.

What comes of one lies in .state/studies/trainings/<key>.json, keyed as the line keys its trainings: by params, data and
code. One that was interrupted goes on from its last whole epoch. A study measures what a lecture has published, so here,
as in the line's own `evaluate`, the model that was kept meets the test set.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lectures import data
from lectures.example import Study, Variation
from lectures.outcome import Figure, Outcome, rounded
from pipeline.config.params import Params, Train
from pipeline.diagnosis import rules
from pipeline.diagnosis.split_checks import Evidence
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.atomic import alone
from pipeline.process import imports
from pipeline.search import workers
from pipeline.training import fingerprint, learning_curves
from pipeline.training.learning_curves import Row

FOLDER = data.FOLDER / "trainings"
UNDIVIDED = "undivided_test_accuracy"


class Kept(workers.Task, Protocol):
    """A task whose result is kept in a file."""

    def key(self) -> str:
        """What its result depends on."""
        ...

    def known(self) -> Any:
        """Its result, where it has been made; else nothing."""
        ...


AnyKept = TypeVar("AnyKept", bound=Kept)


@dataclass(frozen=True)
class Result:
    """The learning curves, the number (from 1) of the epoch that was kept, and what that model reaches on the test set."""

    rows: list[Row]
    kept: int
    layers: dict[str, float]
    tested: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Training:
    """One variation with one seed, on the data in a folder where preprocess has run."""

    name: str
    chosen: Train
    folder: Path
    undivided: bool  # the test images are also given as the lecture's listing gave them, see below

    @property
    def examples(self) -> int:
        return self.chosen.epochs * len(self._split("train")[1])

    def key(self) -> str:
        return fingerprint.of_training(
            self.chosen, [*digests(self.folder), "tested", str(self.undivided)]
        )

    def known(self) -> Result | None:
        """What came of it, where it has been made."""
        path = FOLDER / f"{self.key()}.json"
        return Result(**artifacts.load_json(path)) if path.exists() else None

    def run(self, saw: Callable[[int], None]) -> Result:
        """What came of it; `saw` is told after each epoch how many examples that was. Raises UserError."""
        folder, kept = FOLDER / self.key(), FOLDER / f"{self.key()}.json"
        with alone(folder):
            result = self.known()
            if result is None:
                result = self._fit(folder, lambda row: saw(len(self._split("train")[1])))
                artifacts.save_json(kept, asdict(result))
            shutil.rmtree(folder)
        return result

    def _fit(self, folder: Path, on_row: Callable[[Row], None]) -> Result:
        from pipeline.training import (
            checkpoint,
            fit,
        )  # TensorFlow, which the process that asks does not need
        from pipeline.training.batches import Data

        logging.getLogger("tensorflow").setLevel(
            logging.ERROR
        )  # it warns of one new graph for each training
        started = time.perf_counter()
        earlier: list[Row] = checkpoint.read(folder)["rows"]
        for row in earlier:
            on_row(row)
        description = artifacts.load_description(self.folder / artifacts.DESCRIPTION)
        parts = Data(
            self._split("train"),
            self._split("validation"),
            len(description.class_names),
            description.highest,
        )
        trained = fit.fit(self.chosen, parts, folder, on_row)
        with imports.quiet():
            tested = {
                "parameters": trained.model.count_params(),
                "test_accuracy": self._accuracy(trained.model),
            }
            if self.undivided:
                tested[UNDIVIDED] = self._accuracy(without_division(trained.model))
        seconds = time.perf_counter() - started + sum(row["seconds"] for row in earlier)
        return Result(trained.rows, trained.best, trained.layers, tested, seconds)

    def _split(self, name: str) -> tuple[Array, Array]:
        return artifacts.load_split(name, self.folder / artifacts.PREPARED)

    def _accuracy(self, model: Any) -> float:
        from pipeline.training import keras_files

        images, labels = self._split("test")
        return float((keras_files.probabilities(model, images).argmax(1) == labels).mean())


def without_division(model: Any) -> Any:
    """The same model, but pixels from 0 to 255 reach its weights as they are: the lecture divided its training images by 255
    and not its test images."""
    import keras

    changed = keras.models.clone_model(model)
    changed.set_weights(model.get_weights())
    for layer in changed.layers:
        if isinstance(layer, keras.layers.Rescaling):
            layer.scale = 1.0
    return changed


@cache
def digests(folder: Path) -> tuple[str, ...]:
    """What the data in a folder are."""
    return tuple(
        artifacts.sha256(path) for path in sorted((folder / artifacts.PREPARED).glob("*/*.npy"))
    )


def outcomes(study: Study, workers_wanted: int, quick: bool) -> tuple[list[Outcome], str]:
    """What came of each variation, and what the data were. Raises UserError."""
    chosen = {variation.name: study.params(variation, quick) for variation in study.variations}
    tasks = {
        variation.name: trainings(study, variation, chosen[variation.name], quick)
        for variation in study.variations
    }
    found = results([task for several in tasks.values() for task in several], workers_wanted, line)
    made = [
        outcome(
            name,
            [found[task.key()] for task in several],
            several[0].folder,
            chosen[name].problem.target,
        )
        for name, several in tasks.items()
    ]
    return made, "; ".join(dict.fromkeys(data.size(values) for values in chosen.values()))


def trainings(study: Study, variation: Variation, chosen: Params, quick: bool) -> list[Training]:
    """One for each seed."""
    folder, undivided = data.prepared(chosen), UNDIVIDED in study.shown(variation)
    return [
        Training(
            f"{variation.name}, seed {seed}",
            chosen.train.model_copy(update={"seed": seed}),
            folder,
            undivided,
        )
        for seed in study.seeds_of(variation, quick)
    ]


def results(
    tasks: Sequence[AnyKept], workers_wanted: int, tell: Callable[[AnyKept, Any], str]
) -> dict[str, Any]:
    """What came of each, by its key: read where it was made before, else trained now; `tell` says a line on each of those."""
    found = {task.key(): result for task in tasks if (result := task.known()) is not None}
    todo = list({task.key(): task for task in tasks if task.key() not in found}.values())
    if len(todo) < len(tasks):
        print(
            f"{len(tasks) - len(todo)} of {len(tasks)} trainings have been made before", flush=True
        )
    for number, result in workers.results(todo, min(workers_wanted, max(len(todo), 1)), tell):
        found[todo[number].key()] = result
    return found


def line(task: Training, result: Result) -> str:
    kept = result.rows[result.kept - 1]
    accuracies = f"validation accuracy {kept['validation_accuracy']:.4f}, test accuracy {result.tested['test_accuracy']:.4f}"
    return f"{task.name}: {accuracies}, {result.seconds:.1f} s"


def outcome(name: str, several: Sequence[Result], folder: Path, target: float) -> Outcome:
    """The figures of one variation, a list with one for each seed."""
    evidence = artifacts.load_json(folder / artifacts.report("preprocess")).get("evidence")
    each = [
        measured(result, Evidence(**evidence) if evidence else None, target) for result in several
    ]
    rows = several[0].rows
    curves = {
        measure: rounded([row[measure] for row in rows])
        for measure in ("epoch", *learning_curves.MEASURES)
    }
    return Outcome(
        name,
        {measure: [one[measure] for one in each] for measure in each[0]},
        curves,
        round(sum(result.seconds for result in several), 1),
    )


def measured(result: Result, evidence: Evidence | None, target: float) -> dict[str, Figure]:
    """The kept epoch's figures under their own names; those of the first epoch; gaps at the last; the epoch of the lowest
    validation loss and the highest validation accuracy of all; what the model reaches on the test set; and the diagnosis."""
    first, kept, last = result.rows[0], result.rows[result.kept - 1], result.rows[-1]
    return {
        **{measure: kept[measure] for measure in learning_curves.MEASURES},
        **{f"first_{measure}": first[measure] for measure in learning_curves.MEASURES},
        "loss_gap": last["validation_loss"] - last["train_loss"],
        "accuracy_gap": last["train_accuracy"] - last["validation_accuracy"],
        "lowest_epoch": float(learning_curves.best_epoch(result.rows, "validation_loss")),
        "highest_validation_accuracy": max(row["validation_accuracy"] for row in result.rows),
        "epochs": float(len(result.rows)),
        **result.tested,
        "verdict": rules.diagnose(result.rows, evidence, result.layers, target).verdict,
    }
