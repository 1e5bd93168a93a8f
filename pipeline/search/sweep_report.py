"""The report of a sweep: its trials ranked, in a sentence, a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.config.overrides import Choices, Overrides, Range, written
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.process.words import counted, percent
from pipeline.reporting import statistics
from pipeline.reporting.tables import interval, table
from pipeline.search import optuna_storage
from pipeline.search.analysis import Analysis, AnalysisReport
from pipeline.search.cached_training import TrainingResult

Space = Sequence[Choices | Range]


def describe(study: Study, number: int | None) -> str:
    if number is None:
        return "other workers have run the rest"
    trial = study.get_trials(deepcopy=False)[number]
    values = ", ".join(
        f"{key.split('.')[-1]}={short(value)}" for key, value in trial.params.items()
    )
    return f"trial {number}: {values}: {outcome(trial)}"


def outcome(trial: FrozenTrial) -> str:
    if refusal := optuna_storage.refusal(trial):
        return f"refused: {refusal}"
    result = result_of(trial)
    pruned = f", pruned after {counted(len(result.rows), 'epoch')}" if is_pruned(trial) else ""
    return f"validation accuracy {result.accuracy:.4f}{pruned}"


def is_pruned(trial: FrozenTrial) -> bool:
    return bool(trial.state == TrialState.PRUNED)


def ranked(study: Study) -> list[FrozenTrial]:
    """The trial of each place: complete ones by accuracy, then loss; pruned ones; refused ones."""

    def rank(trial: FrozenTrial) -> tuple[int, float, float]:
        if optuna_storage.refusal(trial):
            return 2, 0.0, 0.0
        result = result_of(trial)
        return int(is_pruned(trial)), -result.accuracy, result.loss

    ended = [
        trial
        for trial in study.get_trials()
        if optuna_storage.refusal(trial)
        or (
            trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            and not optuna_storage.is_misfit(trial)
        )
    ]
    return sorted(ended, key=rank)


def complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state == TrialState.COMPLETE]


def result_of(trial: FrozenTrial) -> TrainingResult:
    return TrainingResult(**trial.user_attrs["result"])


def interval_of(trial: FrozenTrial) -> tuple[float, float]:
    """The 95 % interval of its validation accuracy."""
    result = result_of(trial)
    examples = result.validation_examples
    return statistics.accuracy_interval(examples - result.wrong, examples)


def values_of(trial: FrozenTrial, space: Space) -> Overrides:
    """The trial's values as in params.yaml."""
    values = {}
    for parameter in space:
        value = trial.params[parameter.key]
        if isinstance(parameter, Choices):
            value = parameter.labels()[value]
        values[parameter.key] = value
    return values


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def report(analysis: Analysis, space: Space, trials: Sequence[FrozenTrial]) -> AnalysisReport:
    """Raises UserError if no trial could be trained."""
    finished = complete(trials)
    if not finished:
        raise UserError(
            f"no trial could be trained; the reason of the first: {trials[0].user_attrs['refused']}"
        )
    best = result_of(finished[0])
    low, high = interval_of(finished[0])
    near = sum(result_of(trial).accuracy >= low for trial in finished[1:])
    values = values_of(finished[0], space)
    named = ", ".join(
        f"{key}={short(value) if isinstance(value, float) else written(value)}"
        for key, value in values.items()
    )
    pruned = sum(map(is_pruned, trials))
    return AnalysisReport(
        f"The best of {len(trials)} trials ({pruned} pruned) is {named}, with a validation accuracy"
        f" of {percent(best.accuracy)} (95 % interval {interval((low, high))}); {near} other"
        f" trials lie in that interval. To use it: `{analysis.command(values)}`.",
        [
            "trial",
            *short_names(space),
            "validation accuracy",
            "loss",
            "epochs trained",
            "outcome",
        ],
        [row(trial) for trial in trials],
        {"best_validation_accuracy": best.accuracy, "trials": len(trials), "pruned": pruned},
        [
            *pivot(space, finished),
            "The best of many trials is partly the luckiest: `dvc repro` shows its accuracy on the"
            " test set.",
        ],
    )


def short_names(space: Space) -> list[str]:
    """The last part of each key, or the whole key if two have the same last part."""
    ends = [parameter.key.split(".")[-1] for parameter in space]
    return [
        parameter.key if ends.count(end) > 1 else end
        for parameter, end in zip(space, ends, strict=True)
    ]


def row(trial: FrozenTrial) -> list[str]:
    values = [str(trial.number), *(short(value) for value in trial.params.values())]
    if refusal := optuna_storage.refusal(trial):
        return [*values, "", "", "", f"refused: {refusal}"]
    result = result_of(trial)
    return [
        *values,
        percent(result.accuracy),
        f"{result.loss:.4f}",
        str(len(result.rows)),
        trial.state.name.lower(),
    ]


def grid(space: Space, trials: Sequence[FrozenTrial]) -> Array | None:
    """The validation accuracy (rows, columns) of a grid of two parameters; NaN if missing.

    None for any other space.
    """
    if len(space) != 2 or not all(isinstance(parameter, Choices) for parameter in space):
        return None
    rows, columns = grid_labels(space)
    accuracies: Array = np.full((len(rows), len(columns)), np.nan)
    for trial in trials:
        first, second = (trial.params[parameter.key] for parameter in space)
        cell = rows.index(first), columns.index(second)
        accuracies[cell] = np.fmax(accuracies[cell], result_of(trial).accuracy)
    return accuracies


def grid_labels(space: Space) -> tuple[list[str], list[str]]:
    rows, columns = (
        list(parameter.labels()) for parameter in space if isinstance(parameter, Choices)
    )
    return rows, columns


def pivot(space: Space, trials: Sequence[FrozenTrial]) -> list[str]:
    """The grid as a table, if the space is one."""
    accuracies = grid(space, trials)
    if accuracies is None:
        return []
    rows, columns = grid_labels(space)
    head = [f"{space[0].key} \\ {space[1].key}", *columns]
    lines = [
        [name, *("" if np.isnan(value) else percent(value) for value in values)]
        for name, values in zip(rows, accuracies, strict=True)
    ]
    return [table(head, lines)]


def draw(figure: Any, space: Space, trials: Sequence[FrozenTrial]) -> None:
    """The accuracy against each parameter; beside them the table in colours, if it is a grid."""
    accuracies = grid(space, complete(trials))
    columns = len(space) + (accuracies is not None)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    trained = [trial for trial in trials if "result" in trial.user_attrs]
    for axis, parameter in zip(axes, space, strict=False):
        draw_parameter(axis, parameter, trained)
    axes[0].legend()
    if accuracies is not None:
        draw_grid(axes[-1], space, accuracies)


def draw_parameter(axis: Any, parameter: Choices | Range, trials: Sequence[FrozenTrial]) -> None:
    labels = list(parameter.labels()) if isinstance(parameter, Choices) else []
    for state, marker, colour in (
        (TrialState.PRUNED, "x", "tab:red"),
        (TrialState.COMPLETE, "o", "tab:blue"),
    ):
        points = [trial for trial in trials if trial.state == state]
        values = [trial.params[parameter.key] for trial in points]
        places = [labels.index(value) for value in values] if labels else values
        heights = [100 * result_of(trial).accuracy for trial in points]
        label = f"{state.name.lower()}: {len(points)}"
        if points:
            axis.scatter(places, heights, marker=marker, color=colour, label=label)
    if isinstance(parameter, Choices):
        axis.set_xticks(range(len(labels)), labels)
    elif parameter.log:
        axis.set_xscale("log")
    axis.set(xlabel=parameter.key, ylabel="validation accuracy, %")
    axis.grid(alpha=0.3)


def draw_grid(axis: Any, space: Space, accuracies: Array) -> None:
    rows, columns = grid_labels(space)
    axis.imshow(100 * accuracies, cmap="viridis", aspect="auto")
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.set(xlabel=space[1].key, ylabel=space[0].key, title="validation accuracy, %")
    middle = np.nanmean(accuracies)
    for row, column in np.argwhere(np.isfinite(accuracies)):
        accuracy = accuracies[row, column]
        colour = "black" if accuracy > middle else "white"
        axis.text(column, row, f"{100 * accuracy:.2f}", ha="center", va="center", color=colour)
