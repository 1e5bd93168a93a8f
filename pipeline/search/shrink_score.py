"""What a trial of `edgeproof shrink` is compared by: a metric of its answers to the validation set.

Accuracy is known of every epoch. Another metric comes from the answers, with the interval that is
valid for it; of a training that was stopped early there are none, and its epochs have the metric
only where `train.keep` looks at it.
"""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial

from pipeline.reporting.measure import Judged
from pipeline.reporting.metrics import ACCURACY, METRICS
from pipeline.search import sweep_report
from pipeline.training.learning_curves import Row

METRIC, SCORE = "metric", "score"  # attributes of a trial


def begin(trial: optuna.Trial, metric: str) -> None:
    trial.set_user_attr(METRIC, metric)


def save(trial: optuna.Trial, judged: Judged) -> float:
    """Keeps the value with its interval, and returns it."""
    score = {"value": judged.value, "interval": [float(end) for end in judged.interval]}
    trial.set_user_attr(SCORE, score)
    return judged.value


def metric_of(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get(METRIC, ACCURACY))


def words(metric: str) -> str:
    """`validation balanced accuracy`."""
    return f"validation {METRICS[metric].words}"


def measure(metric: str) -> str:
    """The column of the learning curves that has the metric of an epoch, if any has."""
    return f"validation_{metric}"


def value(trial: FrozenTrial) -> float:
    """That of the answers, or of a training that was stopped that of its best epoch."""
    if SCORE in trial.user_attrs:
        return float(trial.user_attrs[SCORE]["value"])
    result = sweep_report.result_of(trial)
    row: Row = result.rows[result.kept - 1]
    return row[measure(metric_of(trial))]


def interval_of(trial: FrozenTrial) -> tuple[float, float] | None:
    """The 95 % interval of the value, if it is known."""
    if SCORE in trial.user_attrs:
        low, high = trial.user_attrs[SCORE]["interval"]
        return low, high
    return sweep_report.interval_of(trial) if metric_of(trial) == ACCURACY else None
