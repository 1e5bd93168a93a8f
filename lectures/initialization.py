"""Deep networks before the first step: do activations collapse, saturate or keep their spread?

Measured as by `edgeproof spread`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lectures import data, training
from lectures.example import Example
from lectures.outcome import Figure, Outcome, rounded
from pipeline.config.params import Train
from pipeline.files import artifacts, split_files
from pipeline.process import imports
from pipeline.search import engine
from pipeline.search.engine import Engine

# Spread of the last hidden layer over that of the first, below or above which a network has
# collapsed or exploded.
COLLAPSED = 0.1
EXPLODED = 10.0
SATURATED = 0.5  # share of the last hidden layer's tanh units beyond 0.99


@dataclass(frozen=True)
class LayerSpread:
    """One network with one seed. `deviations` are those of each hidden layer's activations."""

    figures: dict[str, Figure]
    deviations: list[float]
    seconds: float


@dataclass(frozen=True)
class SpreadTask:
    """A network to measure, on the data in a folder where preprocess has run."""

    name: str
    variation: str
    settings: Train
    folder: Path
    examples: int = 1  # all cost about the same

    def inputs(self) -> list[Path]:
        return training.inputs(self.settings, self.folder)

    def outputs(self) -> list[Path]:
        return []  # measured in a moment, and so not kept

    def run(self, on_examples: Callable[[int], None]) -> LayerSpread:
        # These import TensorFlow, which only the worker needs.
        from pipeline.diagnosis import spread
        from pipeline.training.batches import Data

        started = time.perf_counter()
        description = artifacts.load_description(self.folder / artifacts.DESCRIPTION)
        train, validation = (
            split_files.load_split(split, self.folder / artifacts.PREPARED)
            for split in ("train", "validation")
        )
        with imports.quiet():
            parts = Data.described(train, validation, description)
            hidden = spread.measure(self.settings, parts)[:-1]
        on_examples(1)
        deviations, saturated = (
            [layer.activation_deviation for layer in hidden],
            hidden[-1].saturated,
        )
        is_tanh = self.settings.network.activation == "tanh"
        figures: dict[str, Figure] = {
            "first_deviation": deviations[0],
            "last_deviation": deviations[-1],
            "saturated": saturated,
            "spread": verdict(deviations, saturated if is_tanh else 0.0),
        }
        return LayerSpread(figures, deviations, time.perf_counter() - started)


def outcomes(example: Example, where: Engine, quick: bool) -> tuple[list[Outcome], str]:
    """The outcome of each variation, and a description of the data. Raises UserError."""
    settings = example.all_params(quick)
    tasks = [
        SpreadTask(
            f"{variation.name}, seed {seed}",
            variation.name,
            settings[variation.name].train.model_copy(update={"seed": seed}),
            data.prepared(settings[variation.name]),
        )
        for variation in example.variations
        for seed in example.seeds_of(variation, quick)
    ]
    by_variation: dict[str, dict[int, LayerSpread]] = {name: {} for name in settings}
    for number, result in engine.results(tasks, where, describe):
        by_variation[tasks[number].variation][number] = result
    measured = [
        outcome(name, [results[number] for number in sorted(results)])
        for name, results in by_variation.items()
    ]
    return measured, data.describe(settings.values())


def describe(task: SpreadTask, result: LayerSpread) -> str:
    return f"{task.name}: {result.figures['spread']}"


def outcome(name: str, results: list[LayerSpread]) -> Outcome:
    first = results[0]
    figures = {
        measure: [result.figures[measure] for result in results] for measure in first.figures
    }
    layers = [float(number) for number in range(1, len(first.deviations) + 1)]
    curves = {"layer": layers, "deviation": rounded(first.deviations)}
    return Outcome(name, figures, curves, round(sum(result.seconds for result in results), 1))


def verdict(deviations: list[float], saturated: float) -> str:
    if saturated > SATURATED:
        return "saturates"
    if deviations[-1] <= COLLAPSED * deviations[0]:
        return "collapses"
    return "explodes" if deviations[-1] > EXPLODED * deviations[0] else "keeps"
