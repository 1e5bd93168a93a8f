"""A dense network as a lecture trained it: scikit-learn's MLPClassifier with L-BFGS.

Keras has no L-BFGS (Liu and Nocedal, 1989). A batch is the whole training part, validation
included. Training stops after ITERATIONS, which is scikit-learn's default.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from lectures import data, training
from lectures.example import Example
from lectures.outcome import Figure, Outcome
from pipeline.config.params import Params
from pipeline.files import artifacts, digests, split_files
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.search.cached_training import once
from pipeline.search.engine import Engine

ITERATIONS = 200
FIGURES = ("train_accuracy", "test_accuracy", "iterations")


@dataclass(frozen=True)
class FitResult:
    """`figures` has the names in FIGURES."""

    figures: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class LbfgsFit:
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

    def inputs(self) -> list[Path]:
        prepared = sorted((self.folder / artifacts.PREPARED).glob("*/*.npy"))
        return [self.folder / artifacts.DESCRIPTION, *prepared]

    def outputs(self) -> list[Path]:
        return [self._path]

    def cached(self) -> FitResult | None:
        return FitResult(**artifacts.load_json(self._path)) if self._path.exists() else None

    def run(self, on_examples: Callable[[int], None]) -> FitResult:
        """The result, from the cache or fitted now."""
        result = once(self._path.with_suffix(""), self.cached, self._fit)
        on_examples(ITERATIONS)
        return result

    @property
    def _path(self) -> Path:
        return training.FOLDER / f"{self.key()}.json"

    def _fit(self) -> FitResult:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        highest = artifacts.load_description(self.folder / artifacts.DESCRIPTION).highest
        train, validation, test = (
            split_files.load_split(name, self.folder / artifacts.PREPARED)
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
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopped at ITERATIONS
            model.fit(x, labels)
        figures = (
            model.score(x, labels),
            model.score(multi_hot(test[0], highest), test[1]),
            float(model.n_iter_),
        )
        return FitResult(dict(zip(FIGURES, figures, strict=True)), time.perf_counter() - started)


def multi_hot(ids: Array, highest: int) -> csr_array:
    """Ids (N, L) from 1 to `highest` -> (N, highest) with a 1 for each id of the row."""
    rows = np.repeat(np.arange(len(ids)), ids.shape[1])
    return csr_array((np.ones(ids.size), (rows, ids.ravel() - 1)), shape=(len(ids), highest))


def outcomes(example: Example, where: Engine, quick: bool) -> tuple[list[Outcome], str]:
    """The outcome of each variation, and a description of the data. Raises UserError."""
    settings = example.all_params(quick)
    tasks = {
        variation.name: fits(
            variation.name, settings[variation.name], example.seeds_of(variation, quick)
        )
        for variation in example.variations
    }
    # The workers inherit this: two of them with two threads each would wait for one another.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    results = training.results(tasks, where, describe)
    measured = [outcome(name, of_variation) for name, of_variation in results.items()]
    return measured, data.describe(settings.values())


def fits(name: str, settings: Params, seeds: Sequence[int]) -> list[LbfgsFit]:
    """One fit per seed. Raises UserError."""
    network = settings.train.network
    if network.hidden is None or not isinstance(network.activation, str):
        raise UserError(
            f"variation {name!r}: L-BFGS needs train.network.hidden"
            " and one train.network.activation"
        )
    return [
        LbfgsFit(
            f"{name}, seed {seed}",
            tuple(network.hidden),
            network.activation,
            seed,
            data.prepared(settings),
        )
        for seed in seeds
    ]


def outcome(name: str, results: Sequence[FitResult]) -> Outcome:
    figures: dict[str, list[Figure]] = {
        figure: [result.figures[figure] for result in results] for figure in FIGURES
    }
    return Outcome(name, figures, seconds=round(sum(result.seconds for result in results), 1))


def describe(task: LbfgsFit, result: FitResult) -> str:
    accuracy = result.figures["test_accuracy"]
    return f"{task.name}: test accuracy {accuracy:.4f}, {result.seconds:.1f} s"
