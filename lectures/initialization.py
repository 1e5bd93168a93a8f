"""Deep stacks before the first step: do their activations collapse, saturate or keep their spread?

As `pipeline.diagnosis.spread` measures it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lectures import data
from lectures.example import Study
from lectures.outcome import Figure, Outcome, rounded
from pipeline.config.params import Train
from pipeline.files import artifacts
from pipeline.process import imports
from pipeline.search import workers

COLLAPSED = (
    0.1  # spread of the last hidden layer over that of the first, below which it has collapsed
)
EXPLODED = 10.0  # the same, above which it has exploded
SATURATED = 0.5  # share of the last hidden layer's tanh units beyond 0.99


@dataclass(frozen=True)
class Measured:
    """Of one network with one seed; `deviations` are the standard deviations of each hidden layer's activations."""

    figures: dict[str, Figure]
    deviations: list[float]
    seconds: float


@dataclass(frozen=True)
class Look:
    """A network to look at, on the data in a folder where preprocess has run."""

    name: str
    variation: str
    chosen: Train
    folder: Path
    examples: int = 1  # each costs about the same

    def run(self, saw: Callable[[int], None]) -> Measured:
        from pipeline.diagnosis import (
            spread,
        )  # TensorFlow, which the process that asks does not need
        from pipeline.training.batches import Data

        started = time.perf_counter()
        description = artifacts.load_description(self.folder / artifacts.DESCRIPTION)
        train, validation = (
            artifacts.load_split(split, self.folder / artifacts.PREPARED)
            for split in ("train", "validation")
        )
        with imports.quiet():
            parts = Data(train, validation, len(description.class_names), description.highest)
            hidden = spread.measure(self.chosen, parts)[:-1]
        saw(1)
        deviations, saturated = (
            [layer.activation_deviation for layer in hidden],
            hidden[-1].saturated,
        )
        figures: dict[str, Figure] = {
            "first_deviation": deviations[0],
            "last_deviation": deviations[-1],
            "saturated": saturated,
            "spread": told(
                deviations, saturated if self.chosen.network.activation == "tanh" else 0.0
            ),
        }
        return Measured(figures, deviations, time.perf_counter() - started)


def outcomes(study: Study, workers_wanted: int, quick: bool) -> tuple[list[Outcome], str]:
    """What came of each variation, and what the data were. Raises UserError."""
    chosen = {variation.name: study.params(variation, quick) for variation in study.variations}
    looks = [
        Look(
            f"{name}, seed {seed}",
            name,
            chosen[name].train.model_copy(update={"seed": seed}),
            data.prepared(chosen[name]),
        )
        for name, variation in zip(chosen, study.variations, strict=True)
        for seed in study.seeds_of(variation, quick)
    ]
    found = dict(
        workers.results(
            looks,
            workers_wanted,
            lambda look, measured: f"{look.name}: {measured.figures['spread']}",
        )
    )
    made = []
    for name in chosen:
        several: list[Measured] = [
            found[number] for number, look in enumerate(looks) if look.variation == name
        ]
        figures = {
            measure: [one.figures[measure] for one in several] for measure in several[0].figures
        }
        layers = [float(number) for number in range(1, len(several[0].deviations) + 1)]
        curves = {"layer": layers, "deviation": rounded(several[0].deviations)}
        made.append(Outcome(name, figures, curves, round(sum(one.seconds for one in several), 1)))
    return made, "; ".join(dict.fromkeys(data.size(values) for values in chosen.values()))


def told(deviations: list[float], saturated: float) -> str:
    if saturated > SATURATED:
        return "saturates"
    if deviations[-1] <= COLLAPSED * deviations[0]:
        return "collapses"
    return "explodes" if deviations[-1] > EXPLODED * deviations[0] else "keeps"
