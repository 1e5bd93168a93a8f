"""Which values are best? A search over any training parameters: grid, random, or TPE with pruning.

    edgeproof sweep train.epochs=1,5,10 train.network.hidden=[32],[64],[256] --sampler grid
    edgeproof sweep 'train.learning_rate=0.0001..0.1 log' train.batch_size=32,128,512 --trials 30

The same command in another shell helps, as it does on another machine that has the same data and
`--storage postgresql://...`. Any of them may end at any time. After Ctrl-C or a crash the same
command continues. A larger --trials extends a sweep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline.config import overrides
from pipeline.config.overrides import Choices, Range
from pipeline.files import artifacts
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.search import analysis, cached_training, engine, optuna_storage, sweep_report
from pipeline.search.analysis import Analysis, AnalysisOptions
from pipeline.search.engine import Engine
from pipeline.search.mlflow_runs import AnalysisRun
from pipeline.search.optuna_storage import Sweep
from pipeline.search.optuna_worker import TrialTask

INCHES = 4.5  # width and height of each axis in the picture


@dataclass(frozen=True)
class SweepSettings:
    """What a sweep takes from the command line, beside what every analysis takes."""

    space: Sequence[str]
    sampler: str = "tpe"  # grid, random or tpe
    trials: int = 20
    prune: str | None = None  # median, hyperband or none
    storage: str | None = None
    name: str | None = None
    heartbeat: int = 20  # seconds


def search(settings: SweepSettings, options: AnalysisOptions) -> None:
    """Raises UserError."""
    sweep_analysis, sweep, study = start(settings, options)
    trials = run(sweep_analysis, sweep, study)
    report = sweep_report.report(sweep_analysis, sweep.space, trials)
    axes = len(sweep.space) + (sweep_report.grid(sweep.space, []) is not None)
    sweep_analysis.publish(
        report,
        lambda figure: sweep_report.draw(figure, sweep.space, trials, sweep_analysis.measure),
        (INCHES * axes, INCHES),
    )


def start(
    settings: SweepSettings, options: AnalysisOptions
) -> tuple[Analysis, Sweep, optuna.Study]:
    """The sweep and its study, in the storage. Raises UserError."""
    is_grid = settings.sampler == "grid"
    pruner = settings.prune or ("none" if is_grid else "median")
    facts: dict[str, Any] = {
        "space": list(settings.space),
        "sampler": settings.sampler,
        "pruner": pruner,
    }
    sweep_analysis = Analysis("sweep", options, **facts)
    space = checked_space(settings, sweep_analysis)
    trials = grid_size(space) if is_grid else settings.trials
    check(settings, options, trials)
    sweep_analysis.title = settings.name or sweep_analysis.title
    cached_training.split_rows(sweep_analysis.params)  # raises UserError if there are no data
    sweep = Sweep(
        title=sweep_analysis.title,
        storage=storage(settings.storage),
        space=space,
        sampler=settings.sampler,
        pruner=pruner,
        start=sweep_analysis.params,
        trials=trials,
        seconds=settings.heartbeat,
        alone=options.engine == Engine() and settings.storage is None,
    )
    return sweep_analysis, sweep, open_study(sweep, facts)


def storage(url: str | None) -> str:
    """The address of the trials: by default a file of this project. Raises UserError."""
    default = f"sqlite:///{quote(str(stage.home() / artifacts.STATE / 'studies.db'))}"
    return optuna_storage.address(url or default)


def open_study(sweep: Sweep, facts: dict[str, Any]) -> optuna.Study:
    """The study with its places; `facts` are those of the search. Raises UserError."""
    start_values = sweep.start.model_dump(mode="json", include=set(analysis.SECTIONS))
    data = list(cached_training.data_digests())
    return optuna_storage.open_study(sweep, {**facts, "start": start_values, "data": data})


def checked_space(settings: SweepSettings, sweep_analysis: Analysis) -> list[Choices | Range]:
    """The parameters to search. Raises UserError if any of their values is not allowed."""
    space = overrides.space(settings.space)
    ranges = [parameter.key for parameter in space if isinstance(parameter, Range)]
    if settings.sampler == "grid" and ranges:
        raise UserError(
            f"{ranges[0]} has a range, but a grid needs values; expected {ranges[0]}=value,value"
        )
    for parameter in space:
        if isinstance(parameter, Choices):
            values = parameter.values
        else:
            values = [parameter.low, parameter.high]
        for value in values:
            analysis.override(sweep_analysis.params, {parameter.key: value})
    return space


def grid_size(space: Sequence[Choices | Range]) -> int:
    return math.prod(len(choices.values) for choices in space if isinstance(choices, Choices))


def check(settings: SweepSettings, options: AnalysisOptions, trials: int) -> None:
    """Raises UserError."""
    if trials < 1 or settings.heartbeat < 1:
        raise UserError(
            f"--trials is {trials} and --heartbeat is {settings.heartbeat}; expected at least 1"
            " of each"
        )
    options.engine.check(trials, "trials")


def run(
    sweep_analysis: Analysis,
    sweep: Sweep,
    study: optuna.Study,
    task: type[TrialTask] = TrialTask,
    describe: Callable[[optuna.Study, int | None], str] = sweep_report.describe,
) -> list[FrozenTrial]:
    """Runs all open trials, together with other commands on the storage.

    Each trial is logged to MLflow as a child. Returns the trials, the best first.
    Raises UserError.
    """
    with optuna_storage.reachable(sweep.storage):
        return _run(sweep_analysis, sweep, study, task, describe)


def _run(
    sweep_analysis: Analysis,
    sweep: Sweep,
    study: optuna.Study,
    task: type[TrialTask],
    describe: Callable[[optuna.Study, int | None], str],
) -> list[FrozenTrial]:
    trials_left = _begin(sweep, study)
    mlflow_run = AnalysisRun(sweep_analysis.title)
    train, _ = cached_training.split_rows(sweep.start)
    tasks = [task("trial", sweep, sweep.start.train.epochs * len(train))] * trials_left
    for _, number in engine.results(
        tasks, sweep_analysis.engine, lambda _, number: describe(study, number)
    ):
        if number is not None:
            with optuna_storage.locked(sweep.storage):
                log(mlflow_run, study.get_trials(deepcopy=False)[number])
    trials = sweep_report.ranked(study)
    # Several commands may end together. One at a time logs what is missing.
    with optuna_storage.locked(sweep.storage):
        for trial in trials:
            log(mlflow_run, trial)
    return trials


def _begin(sweep: Sweep, study: optuna.Study) -> int:
    """Says where the sweep stands; returns the trials that are not finished."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    running = states.count(TrialState.RUNNING)
    unfinished = states.count(TrialState.WAITING) + running
    done = f"{sweep.trials - unfinished} of {counted(sweep.trials, 'trial')} already done"
    print(f"{sweep.title}: {done}", flush=True)
    if running:
        seconds = optuna_storage.BEATS * sweep.seconds
        print(
            f"{counted(running, 'trial')} running in other workers; after {seconds} s without a"
            " heartbeat a worker counts as lost",
            flush=True,
        )
    return unfinished


def log(mlflow_run: AnalysisRun, trial: FrozenTrial) -> None:
    if "result" in trial.user_attrs:
        mlflow_run.log_training(
            f"trial {trial.number}",
            trial.params,
            sweep_report.result_of(trial),
            "KILLED" if sweep_report.is_pruned(trial) else "FINISHED",
        )
