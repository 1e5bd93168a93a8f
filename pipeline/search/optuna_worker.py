"""One trial of a sweep, as a worker runs it: Optuna gives the values, the pipeline trains."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import TrialPruned, UpdateFinishedTrialError
from optuna.trial import TrialState

from pipeline.config.overrides import Overrides
from pipeline.config.params import Params
from pipeline.process.errors import UserError
from pipeline.search import analysis, cached_training, optuna_storage
from pipeline.search.cached_training import CachedTraining, PrunedError, TrainingResult
from pipeline.search.optuna_storage import Sweep
from pipeline.training.learning_curves import EPOCH, Row

POLL_SECONDS = 1.0  # between two looks for a place that another worker has lost


class LateError(Exception):
    """Another worker has taken the last place."""


@dataclass(frozen=True)
class TrialTask:
    """A task of `workers`: whichever trial of the sweep is next."""

    name: str
    sweep: Sweep
    examples: int  # what a trial costs with the sweep's start values

    def inputs(self) -> list[Path]:
        # Whether there is a test set decides on the split.
        return [*cached_training.inputs(self.sweep.start.train), cached_training.TEST_LABELS]

    def outputs(self) -> list[Path]:
        return []  # the study keeps it

    def run(self, on_examples: Callable[[int], None]) -> int | None:
        """Runs one trial and returns its number, or None when other workers have run the rest."""
        optuna_storage.check_is_here(self.sweep.storage)
        with optuna_storage.reachable(self.sweep.storage):
            return self._run(on_examples)

    def _run(self, on_examples: Callable[[int], None]) -> int | None:
        study = optuna.load_study(
            study_name=self.sweep.title,
            storage=optuna_storage.opened(self.sweep.storage, self.sweep.seconds),
        )
        study.pruner = pruner(self.sweep)
        while True:
            with optuna_storage.locked(self.sweep.storage):
                optuna_storage.queue_places(self.sweep, study)
            states = [trial.state for trial in study.get_trials(deepcopy=False)]
            if TrialState.WAITING in states:
                started = len(states) - states.count(TrialState.WAITING)
                study.sampler = sampler(self.sweep, started)
                number = self._run_next(study, on_examples)
                if number is not None:
                    return number
            elif TrialState.RUNNING in states:
                time.sleep(POLL_SECONDS)
            else:
                return None

    def _run_next(self, study: optuna.Study, on_examples: Callable[[int], None]) -> int | None:
        numbers = []

        def objective(trial: optuna.Trial) -> float | Sequence[float]:
            # Optuna makes a new trial, without a place, if no queued one is left.
            if optuna_storage.PLACE not in trial.user_attrs:
                raise LateError
            numbers.append(trial.number)
            return self.objective(trial, on_examples)

        try:
            study.optimize(objective, n_trials=1, catch=(LateError, UserError))
        except UpdateFinishedTrialError:
            # The trial counted as lost while this machine slept. The worker that repeats it finds
            # the result in the cache.
            return None
        if not numbers or optuna_storage.is_misfit(study.get_trials(deepcopy=False)[numbers[0]]):
            return None
        return numbers[0]

    def objective(
        self, trial: optuna.Trial, on_examples: Callable[[int], None]
    ) -> float | Sequence[float]:
        """The value of a trial for each direction of the sweep, once it is trained."""
        with refusals(trial):
            return score(self.sweep, trial, on_examples)


@contextmanager
def refusals(trial: optuna.Trial) -> Iterator[None]:
    """Keeps why the values of a trial cannot be trained."""
    try:
        yield
    except UserError as error:
        trial.set_user_attr(optuna_storage.REFUSED, str(error))
        raise


def values_of(sweep: Sweep, trial: optuna.Trial) -> Overrides:
    """The values of params.yaml of a trial that begins, as Optuna's sampler chooses them."""
    trial.set_user_attr("worker", f"{platform.node()}:{os.getpid()}")
    return sweep.overrides(
        {parameter.key: optuna_storage.suggested(parameter, trial) for parameter in sweep.space}
    )


def score(sweep: Sweep, trial: optuna.Trial, on_examples: Callable[[int], None]) -> float:
    """Trains with the trial's values, and stops if the pruner says so. Raises UserError."""
    values = values_of(sweep, trial)
    settings = analysis.override(sweep.start, values)
    reported = set()

    def on_row(row: Row) -> None:
        epoch = int(row[EPOCH])
        trial.report(row[cached_training.measure(row)], epoch)
        reported.add(epoch)
        if epoch < settings.train.epochs and trial.should_prune():
            raise PrunedError

    result = trained(trial, values, settings, on_examples, on_row)
    for row in result.rows:
        if int(row[EPOCH]) not in reported:  # the result comes from the cache
            trial.report(row[result.measure], int(row[EPOCH]))
    return result.score


def trained(
    trial: optuna.Trial,
    values: Overrides,
    settings: Params,
    on_examples: Callable[[int], None],
    on_row: Callable[[Row], None],
) -> TrainingResult:
    """Trains with the trial's values, and keeps the result. Raises UserError, and TrialPruned."""
    training = training_of(trial, values, settings)
    result = run(trial, training, on_examples, on_row)
    if training.predicts:
        trial.set_user_attr(optuna_storage.INTERVAL, training.judged(settings).interval)
    return result


def training_of(trial: optuna.Trial, values: Overrides, settings: Params) -> CachedTraining:
    """The training of the trial's values. Raises UserError."""
    rows = cached_training.split_rows(settings)
    return CachedTraining(
        f"trial {trial.number}",
        values,
        settings.train,
        *rows,
        predicts=settings.problem.unit is not None,  # the errors give the interval of their mean
    )


def run(
    trial: optuna.Trial,
    training: CachedTraining,
    on_examples: Callable[[int], None],
    on_row: Callable[[Row], None],
) -> TrainingResult:
    """Trains, and keeps the result with the trial. Raises UserError, and TrialPruned."""
    try:
        result = training.run(on_examples, on_row)
    except PrunedError as pruned:
        save_result(trial, pruned.result)
        raise TrialPruned from None
    save_result(trial, result)
    return result


def save_result(trial: optuna.Trial, result: TrainingResult) -> None:
    trial.set_user_attr("result", asdict(result))


def sampler(sweep: Sweep, started: int) -> Any:
    """TPE for the next trial, after `started` others. Grid and random values are queued already.

    The seed differs between parallel workers, and after a restart, so that none repeats a draw.
    """
    salt = 0 if sweep.alone else secrets.randbits(32)
    seed = int(np.random.default_rng([sweep.start.train.seed, started, salt]).integers(2**32))
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


def pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    epochs = sweep.start.train.epochs
    if sweep.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1 + epochs // 3)
    if sweep.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
    return optuna.pruners.NopPruner()
