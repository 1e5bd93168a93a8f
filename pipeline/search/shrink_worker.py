"""One trial of `edgeproof shrink`, as a worker runs it: the network is measured, then trained.

Optuna's pruners know one objective. Here a trial ends early if, at the same share of its epochs, it
is worse than the median of the networks that need no more bytes: it will not be among those that
are better than all smaller ones. By another metric than accuracy none ends early, unless
`train.keep` looks at it: no epoch has it otherwise.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import optuna
from optuna.exceptions import TrialPruned
from optuna.trial import FrozenTrial, TrialState

from pipeline.planning.cost import NetworkFiles
from pipeline.process.errors import UserError
from pipeline.reporting.metrics import ACCURACY
from pipeline.search import analysis, optuna_storage, optuna_worker, shrink_score, sweep_report
from pipeline.search.cached_training import CachedTraining, PrunedError
from pipeline.search.optuna_worker import TrialTask
from pipeline.search.shrink_space import Shrink
from pipeline.training.learning_curves import EPOCH, Row

FEWEST_COMPARED = 3  # complete trials, below which nothing is stopped
WARMUP = 1 / 3  # of the epochs
ROUNDING = 1e-9  # of a share
TRIES = 50  # networks that do not fit, after which a place is given up


@dataclass(frozen=True)
class NetworkTask(TrialTask):
    """A task of `workers`: the next trial whose network fits."""

    sweep: Shrink

    def objective(
        self, trial: optuna.Trial, on_examples: Callable[[int], None]
    ) -> tuple[float, int]:
        """The metric and bytes. Raises TrialPruned if it does not fit, or has no hope."""
        with optuna_worker.refusals(trial):
            values = optuna_worker.values_of(self.sweep, trial)
            settings = analysis.override(self.sweep.start, values)
            files = self.sweep.files(settings)
            self._check(trial, files)
            trial.set_user_attr("files", asdict(files))
            shrink_score.begin(trial, self.sweep.metric)
            training = optuna_worker.training_of(trial, values, settings)
            return self._trained(trial, training, files, on_examples), files.integer_bytes

    def _trained(
        self,
        trial: optuna.Trial,
        training: CachedTraining,
        files: NetworkFiles,
        on_examples: Callable[[int], None],
    ) -> float:
        """The metric of the trained network. Raises TrialPruned if it has no hope."""
        metric, epochs = self.sweep.metric, training.settings.epochs

        def on_row(row: Row) -> None:
            share = row[EPOCH] / epochs
            is_judged = shrink_score.measure(metric) in row and WARMUP < share < 1
            if is_judged and is_hopeless(row, share, files, trial.study):
                raise PrunedError

        training = replace(training, predicts=metric != ACCURACY)
        result = optuna_worker.run(trial, training, on_examples, on_row)
        if metric == ACCURACY:
            return result.accuracy
        return shrink_score.save(trial, training.judged(self.sweep.start, metric))

    def _check(self, trial: optuna.Trial, files: NetworkFiles) -> None:
        """Raises TrialPruned if the network does not fit, or UserError if none ever does."""
        if refusal := self.sweep.budget.refusal(files):
            raise UserError(refusal)
        faults = self.sweep.budget.faults(files)
        trial.set_constraint("budget", sum(needed / limit - 1 for needed, limit in faults.values()))
        if not faults:
            return
        resource, (needed, limit) = next(iter(faults.items()))
        place = trial.user_attrs[optuna_storage.PLACE]
        unfit = [
            other
            for other in trial.study.get_trials(deepcopy=False)
            if optuna_storage.is_misfit(other) and other.user_attrs[optuna_storage.PLACE] == place
        ]
        if len(unfit) >= TRIES:
            raise UserError(
                f"{TRIES} networks in a row did not fit; the last needs {needed:,} of {limit:,} "
                f"({resource})"
            )
        trial.set_user_attr(optuna_storage.MISFIT, resource)
        raise TrialPruned


def is_hopeless(row: Row, share: float, files: NetworkFiles, study: optuna.Study) -> bool:
    """Whether the median of networks of at most as many bytes was better at this share."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    compared = [
        trial
        for trial in complete
        if trial.user_attrs["files"]["integer_bytes"] <= files.integer_bytes
    ]
    if len(compared) < FEWEST_COMPARED:
        return False
    column = shrink_score.measure(shrink_score.metric_of(compared[0]))
    return row[column] < statistics.median(measured_at(trial, share, column) for trial in compared)


def measured_at(trial: FrozenTrial, share: float, column: str) -> float:
    """The metric after this share of the trial's epochs, rounded up to whole ones."""
    rows: Sequence[Row] = sweep_report.result_of(trial).rows
    epoch = math.ceil(share * len(rows) - ROUNDING)
    return rows[epoch - 1][column]
