"""A dense network as a lecture trained it: scikit-learn's MLPClassifier by L-BFGS (Liu and Nocedal, 1989), which Keras lacks.

Its batch is the whole training part, the validation part with it, and it stops after ITERATIONS, as scikit-learn does by itself.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from lectures import data, training
from lectures.example import Study
from lectures.outcome import Figure, Outcome
from pipeline.config.params import Params
from pipeline.files import artifacts, digests
from pipeline.files.artifacts import Array
from pipeline.files.atomic import alone
from pipeline.process.errors import UserError

ITERATIONS = 200
FIGURES = ("train_accuracy", "test_accuracy", "iterations")


@dataclass(frozen=True)
class Result:
    figures: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Fit:
    """One variation with one seed, on the ids in a folder where preprocess has run."""

    name: str
    hidden: tuple[int, ...]
    activation: str
    seed: int
    folder: Path

    @property
    def examples(self) -> int:
        return ITERATIONS

    def key(self) -> str:
        facts = [
            *training.digests(self.folder),
            artifacts.sha256(Path(__file__)),
            str(self.hidden),
            self.activation,
            str(self.seed),
        ]
        return digests.of_facts(facts)

    def known(self) -> Result | None:
        """What came of it, where it has been made."""
        return Result(**artifacts.load_json(self._path)) if self._path.exists() else None

    def run(self, saw: Callable[[int], None]) -> Result:
        """What came of it."""
        with alone(self._path.with_suffix("")):
            result = self.known()
            if result is None:
                result = self._fit()
                artifacts.save_json(self._path, asdict(result))
        saw(ITERATIONS)
        return result

    @property
    def _path(self) -> Path:
        return training.FOLDER / f"{self.key()}.json"

    def _fit(self) -> Result:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        highest = artifacts.load_description(self.folder / artifacts.DESCRIPTION).highest
        train, validation, test = (
            artifacts.load_split(name, self.folder / artifacts.PREPARED)
            for name in ("train", "validation", "test")
        )
        ids, labels = (np.concatenate(both) for both in zip(train, validation, strict=True))
        x, started = multi_hot(ids, highest), time.perf_counter()
        model = MLPClassifier(
            self.hidden,
            activation=self.activation,
            solver="lbfgs",
            max_iter=ITERATIONS,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # at ITERATIONS, as meant
            model.fit(x, labels)
        figures = (
            model.score(x, labels),
            model.score(multi_hot(test[0], highest), test[1]),
            float(model.n_iter_),
        )
        return Result(dict(zip(FIGURES, figures, strict=True)), time.perf_counter() - started)


def multi_hot(ids: Array, highest: int) -> csr_array:
    """Ids (N, L) from 1 to `highest` -> (N, highest), a 1 for each id of the row."""
    rows = np.repeat(np.arange(len(ids)), ids.shape[1])
    return csr_array((np.ones(ids.size), (rows, ids.ravel() - 1)), shape=(len(ids), highest))


def outcomes(study: Study, workers_wanted: int, quick: bool) -> tuple[list[Outcome], str]:
    """What came of each variation's hidden layers and activation, and what the data were. Raises UserError."""
    chosen = {variation.name: study.params(variation, quick) for variation in study.variations}
    made = {
        variation.name: fits(
            variation.name, chosen[variation.name], study.seeds_of(variation, quick)
        )
        for variation in study.variations
    }
    tasks = [task for several in made.values() for task in several]
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # for the workers: two of them with two threads each wait for one another
    found = training.results(tasks, workers_wanted, line)
    each = [
        outcome(name, [found[task.key()] for task in several]) for name, several in made.items()
    ]
    return each, "; ".join(dict.fromkeys(data.size(values) for values in chosen.values()))


def fits(name: str, chosen: Params, seeds: Sequence[int]) -> list[Fit]:
    """One for each seed. Raises UserError."""
    network = chosen.train.network
    if network.hidden is None or not isinstance(network.activation, str):
        raise UserError(
            f"variation {name!r}: L-BFGS needs train.network.hidden and one train.network.activation"
        )
    return [
        Fit(
            f"{name}, seed {seed}",
            tuple(network.hidden),
            network.activation,
            seed,
            data.prepared(chosen),
        )
        for seed in seeds
    ]


def outcome(name: str, several: Sequence[Result]) -> Outcome:
    figures: dict[str, list[Figure]] = {
        figure: [result.figures[figure] for result in several] for figure in FIGURES
    }
    return Outcome(name, figures, seconds=round(sum(result.seconds for result in several), 1))


def line(task: Fit, result: Result) -> str:
    return (
        f"{task.name}: test accuracy {result.figures['test_accuracy']:.4f}, {result.seconds:.1f} s"
    )
