"""How small can the model be? A search for a metric and bytes at once, within a budget.

    edgeproof shrink --bytes 16000 --arena 16384
    edgeproof shrink --bytes 60000 --board esp32-s3 --trials 100
    edgeproof shrink --bytes 16000 --metric balanced_accuracy

What a network needs is measured before it is trained, and one that does not fit is not trained.
Ctrl-C, workers, storage and more trials work as in `sweep`, whose machinery this is.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import optuna

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import raw
from pipeline.planning.cost import NetworkFiles
from pipeline.planning.start import check_board
from pipeline.process.errors import UserError
from pipeline.search import (
    analysis,
    cached_training,
    optuna_storage,
    shrink_report,
    shrink_space,
    sweep,
)
from pipeline.search.analysis import Analysis, AnalysisOptions
from pipeline.search.engine import Engine
from pipeline.search.shrink_space import Budget, Shrink
from pipeline.search.shrink_worker import NetworkTask

TRIALS, QUICK_TRIALS = 40, 4
HEARTBEAT = 20  # seconds
INCHES = (8, 5)
SCALES, HALVINGS = (0.5, 8.0), 5  # of the architecture's own filters; to a tenth


@dataclass(frozen=True)
class ShrinkSettings:
    """What a shrink takes from the command line, beside what every analysis takes."""

    budget: Budget
    trials: int | None = None
    storage: str | None = None


def search(settings: ShrinkSettings, options: AnalysisOptions) -> None:
    """Raises UserError."""
    shrinking, networks, study = start(settings, options)
    trials = sweep.run(shrinking, networks, study, NetworkTask, shrink_report.describe)
    with optuna_storage.reachable(networks.storage):
        misfits = sum(map(optuna_storage.is_misfit, study.get_trials(deepcopy=False)))
    report = shrink_report.report(shrinking, networks, trials, misfits)
    shrinking.publish(report, lambda figure: shrink_report.draw(figure, networks, trials), INCHES)


def start(
    settings: ShrinkSettings, options: AnalysisOptions
) -> tuple[Analysis, Shrink, optuna.Study]:
    """The search and its study, in the storage. Raises UserError."""
    trials = settings.trials
    if trials is None:
        trials = QUICK_TRIALS if options.quick else TRIALS
    check(settings.budget, trials, options)
    data = raw.description()
    shape = shrink_space.shape_of(data)
    known = facts(settings.budget, params.load())
    shrinking = Analysis("shrink", options, **known)
    own = shrink_space.fresh(shrinking.params, shape.kind)
    shrinking.overrides = {**shrinking.overrides, **own}
    shrinking.params = analysis.override(shrinking.params, own)
    cached_training.split_rows(shrinking.params)  # raises UserError if there are no data
    networks = Shrink(
        title=shrinking.title,
        storage=sweep.storage(settings.storage),
        space=shrink_space.space(shrinking.params.train, shape.kind, settings.budget.bytes),
        sampler="tpe",
        pruner="none",  # `shrink_worker` has its own
        start=shrinking.params,
        trials=trials,
        seconds=HEARTBEAT,
        alone=options.engine == Engine() and settings.storage is None,
        budget=settings.budget,
        shape=shape,
        card_bytes=shrink_space.card_bytes(shrinking.params, data),
        begin={},
        metric=shrinking.metric,
    )
    check_smallest(networks)
    networks = replace(networks, begin=largest_of_own_form(networks))
    return shrinking, networks, sweep.open_study(networks, known)


def facts(budget: Budget, settings: Params) -> dict[str, Any]:
    """What makes it another study, beside what every analysis depends on.

    Files of two formats have bytes that cannot be compared; -S cannot set the format.
    """
    return {"budget": asdict(budget), "format": settings.embed.format}


def check(budget: Budget, trials: int, options: AnalysisOptions) -> None:
    """Raises UserError."""
    for name, value in (("bytes", budget.bytes), ("arena", budget.arena), ("trials", trials)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}; expected an integer of at least 1")
    check_board(budget.board)
    options.engine.check(trials, "trials")


def check_smallest(networks: Shrink) -> None:
    """Raises UserError if even the smallest network does not fit."""
    print("measuring what fits, which takes half a minute", flush=True)
    files = measured(networks, shrink_space.smallest(networks.space))
    if refusal := networks.budget.refusal(files):
        raise UserError(refusal)
    for resource, (needed, limit) in networks.budget.faults(files).items():
        raise UserError(
            f"the smallest network of the search needs {needed:,} bytes, and the budget has "
            f"{limit:,} ({resource}); allow more, or make the input smaller"
        )


def largest_of_own_form(networks: Shrink) -> dict[str, Any]:
    """The values of the largest network of the architecture's own form that fits, if any does."""
    result: dict[str, Any] = {}
    low, high = SCALES
    for _ in range(HALVINGS):
        scale = math.sqrt(low * high)
        values = shrink_space.own_form(networks, scale)
        if networks.budget.faults(measured(networks, values)):
            high = scale
        else:
            low, result = scale, values
    return result


def measured(networks: Shrink, values: dict[str, Any]) -> NetworkFiles:
    """What the network of a trial with these values needs."""
    return networks.files(analysis.override(networks.start, networks.overrides(values)))
