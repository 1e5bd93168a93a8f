"""Deep stacks before the first step: do their activations collapse, saturate or keep their spread? As `pipeline.spread` measures it."""

from __future__ import annotations

import time

from pipeline import artifacts, stage
from pipeline.params import Params
from studies import data
from studies.outcome import Figure, Outcome, rounded
from studies.study import Study

COLLAPSED = 0.1  # spread of the last hidden layer over that of the first, below which it has collapsed
SATURATED = 0.5  # share of the last hidden layer's activations beyond 0.99
EXPLODED = 10.0  # spread of the last hidden layer over that of the first, above which it has exploded


def outcomes(study: Study, workers_wanted: int, quick: bool) -> tuple[list[Outcome], str]:
    """Raises UserError."""
    made, chosen = [], study.params(study.variations[0], quick)
    for variation in study.variations:
        chosen = study.params(variation, quick)
        started = time.perf_counter()
        runs = [measured(chosen, seed) for seed in study.seeds_of(variation, quick)]
        figures = {measure: [one[0][measure] for one in runs] for measure in runs[0][0]}
        deviations = runs[0][1]
        layers = [float(number) for number in range(1, len(deviations) + 1)]
        curves = {"layer": layers, "deviation": rounded(deviations)}
        made.append(Outcome(variation.name, figures, curves, round(time.perf_counter() - started, 1)))
    return made, data.size(chosen)


def measured(chosen: Params, seed: int) -> tuple[dict[str, Figure], list[float]]:
    """The figures of the hidden layers, and the standard deviation of the activations of each."""
    from pipeline import spread
    from pipeline.batches import Data

    folder = data.prepared(chosen)
    description = artifacts.load_description(folder / artifacts.DESCRIPTION)
    train, validation = (artifacts.load_split(split, folder / artifacts.PREPARED) for split in ("train", "validation"))
    parts = Data(train, validation, len(description.class_names), description.highest)
    with stage.quiet():
        hidden = spread.measure(chosen.train.model_copy(update={"seed": seed}), parts)[:-1]
    deviations = [layer.activation_deviation for layer in hidden]
    figures: dict[str, Figure] = {
        "first_deviation": deviations[0],
        "last_deviation": deviations[-1],
        "saturated": hidden[-1].saturated,
        "spread": told(deviations[-1] / deviations[0] if deviations[0] else 0.0, hidden[-1].saturated, chosen),
    }
    return figures, deviations


def told(ratio: float, saturated: float, chosen: Params) -> str:
    if chosen.train.network.activation == "tanh" and saturated > SATURATED:
        return "saturates"
    if ratio < COLLAPSED:
        return "collapses"
    return "explodes" if ratio > EXPLODED else "keeps"
