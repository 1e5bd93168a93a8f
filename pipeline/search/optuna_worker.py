"""One trial of a search, as a worker makes it: the values come from Optuna, the training is the line's own."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError, TrialPruned, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from pipeline.process.errors import UserError
from pipeline.search import analysis, cached_training, optuna_storage
from pipeline.search.cached_training import GivenUpError, Result, Training
from pipeline.search.optuna_storage import Search
from pipeline.training.learning_curves import Row

SECONDS_BETWEEN_LOOKS = 1.0  # at whether a trial of another worker has come back


class LateError(Exception):
    """Another worker has taken the last slot."""


@dataclass(frozen=True)
class Slot:
    """Whichever trial of the search is next."""

    name: str
    search: Search
    examples: int  # what a trial costs with the values that the search starts from

    def run(self, saw: Callable[[int], None]) -> int | None:
        """Makes one trial, and returns its number; None where no more are left, once those of other workers have ended."""
        found = optuna.load_study(
            study_name=self.search.title,
            storage=optuna_storage.opened(self.search.storage, self.search.seconds),
        )
        found.pruner = pruner(self.search)
        while True:
            with optuna_storage.one_at_a_time(self.search.storage):
                optuna_storage.fill(self.search, found)
            states = [one.state for one in found.get_trials(deepcopy=False)]
            if TrialState.WAITING in states:
                found.sampler = sampler(self.search, len(states) - states.count(TrialState.WAITING))
                number = self._take(found, saw)
                if number is not None:
                    return number
            elif TrialState.RUNNING in states:
                time.sleep(SECONDS_BETWEEN_LOOKS)
            else:
                return None

    def _take(self, found: optuna.Study, saw: Callable[[int], None]) -> int | None:
        taken = []

        def objective(one: optuna.Trial) -> float:
            if "slot" not in one.user_attrs:
                raise LateError
            taken.append(one.number)
            return accuracy(self.search, one, saw)

        try:
            found.optimize(objective, n_trials=1, catch=(LateError, UserError))
        except UpdateFinishedTrialError:
            return (
                None  # it was given up while this worker slept; who makes it now finds the result
            )
        except (StorageInternalError, SQLAlchemyError) as error:
            shown, reason = (
                optuna_storage.shown(self.search.storage),
                optuna_storage.reason(error, self.search.storage),
            )
            raise UserError(
                f"the storage {shown} has gone away: {reason}; the same command goes on"
            ) from None
        return taken[0] if taken else None


def accuracy(search: Search, one: optuna.Trial, saw: Callable[[int], None]) -> float:
    """Trains with the trial's values, and stops where the pruner has no hope."""
    values = {parameter.key: optuna_storage.suggested(parameter, one) for parameter in search.space}
    one.set_user_attr("worker", f"{platform.node()}:{os.getpid()}")
    reported = set()

    def on_row(row: Row) -> None:
        epoch = int(row["epoch"])
        one.report(row["validation_accuracy"], epoch)
        reported.add(epoch)
        if epoch < chosen.train.epochs and one.should_prune():
            raise GivenUpError

    try:
        chosen = analysis.changed(search.start, values)
        training = Training(
            f"trial {one.number}", values, chosen.train, *cached_training.rows_of(chosen)
        )
        result = training.run(saw, on_row)
    except UserError as error:
        one.set_user_attr("refused", str(error))
        raise
    except GivenUpError as given_up:
        keep(one, given_up.result)
        raise TrialPruned from None
    for row in result.rows:
        if int(row["epoch"]) not in reported:  # the training had been made before
            one.report(row["validation_accuracy"], int(row["epoch"]))
    keep(one, result)
    return result.accuracy


def keep(one: optuna.Trial, result: Result) -> None:
    one.set_user_attr("result", asdict(result))


def sampler(search: Search, begun: int) -> Any:
    """TPE, for the trial after so many; what a grid and a random search take is known from the start.

    Workers side by side must not draw alike, and one that goes on must not draw again what it has drawn.
    """
    salt = 0 if search.alone else secrets.randbits(32)
    seed = int(np.random.default_rng([search.start.train.seed, begun, salt]).integers(2**32))
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


def pruner(search: Search) -> optuna.pruners.BasePruner:
    epochs = search.start.train.epochs
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1 + epochs // 3)
    if search.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
    return optuna.pruners.NopPruner()
