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
from pipeline.process.words import counted
from pipeline.reporting import statistics
from pipeline.reporting.measure import Measure
from pipeline.reporting.tables import table
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
    return f"{result.measure.replace('_', ' ')} {result.score:.4f}{pruned}"


def is_pruned(trial: FrozenTrial) -> bool:
    return bool(trial.state == TrialState.PRUNED)


def ranked(study: Study) -> list[FrozenTrial]:
    """The trial of each place: complete ones by score, then loss; pruned ones; refused ones."""

    def rank(trial: FrozenTrial) -> tuple[int, float, float]:
        if optuna_storage.refusal(trial):
            return 2, 0.0, 0.0
        result = result_of(trial)
        return int(is_pruned(trial)), -result.goodness, result.loss

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
    """The 95 % interval of its validation accuracy or error."""
    if optuna_storage.INTERVAL in trial.user_attrs:
        low, high = trial.user_attrs[optuna_storage.INTERVAL]
        return low, high
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
    best, measure = result_of(finished[0]), analysis.measure
    ends = interval_of(finished[0])
    least = min(measure.sign * end for end in ends)
    near = sum(result_of(trial).goodness >= least for trial in finished[1:])
    values = values_of(finished[0], space)
    named = ", ".join(
        f"{key}={short(value) if isinstance(value, float) else written(value)}"
        for key, value in values.items()
    )
    pruned = sum(map(is_pruned, trials))
    return AnalysisReport(
        f"The best of {len(trials)} trials ({pruned} pruned) is {named}, with a {measure.words}"
        f" of {measure.text(best.score)} (95 % interval {measure.texts(ends)}); {near} other"
        f" trials lie in that interval. To use it: `{analysis.command(values)}`.",
        [
            "trial",
            *short_names(space),
            measure.words,
            "loss",
            "epochs trained",
            "outcome",
        ],
        [row(trial, measure) for trial in trials],
        {f"best_{measure.key}": best.score, "trials": len(trials), "pruned": pruned},
        [
            *pivot(space, finished, measure),
            "The best of many trials is partly the luckiest: `dvc repro` shows how good it is on"
            " the test set.",
        ],
    )


def short_names(space: Space) -> list[str]:
    """The last part of each key, or the whole key if two have the same last part."""
    ends = [parameter.key.split(".")[-1] for parameter in space]
    return [
        parameter.key if ends.count(end) > 1 else end
        for parameter, end in zip(space, ends, strict=True)
    ]


def row(trial: FrozenTrial, measure: Measure) -> list[str]:
    values = [str(trial.number), *(short(value) for value in trial.params.values())]
    if refusal := optuna_storage.refusal(trial):
        return [*values, "", "", "", f"refused: {refusal}"]
    result = result_of(trial)
    return [
        *values,
        measure.text(result.score),
        f"{result.loss:.4f}",
        str(len(result.rows)),
        trial.state.name.lower(),
    ]


def grid(space: Space, trials: Sequence[FrozenTrial]) -> Array | None:
    """The best score (rows, columns) of a grid of two parameters; NaN if missing.

    None for any other space.
    """
    if len(space) != 2 or not all(isinstance(parameter, Choices) for parameter in space):
        return None
    rows, columns = grid_labels(space)
    scores: Array = np.full((len(rows), len(columns)), np.nan)
    best_last = sorted(trials, key=lambda trial: result_of(trial).goodness)
    for trial in best_last:
        first, second = (trial.params[parameter.key] for parameter in space)
        scores[rows.index(first), columns.index(second)] = result_of(trial).score
    return scores


def grid_labels(space: Space) -> tuple[list[str], list[str]]:
    rows, columns = (
        list(parameter.labels()) for parameter in space if isinstance(parameter, Choices)
    )
    return rows, columns


def pivot(space: Space, trials: Sequence[FrozenTrial], measure: Measure) -> list[str]:
    """The grid as a table, if the space is one."""
    scores = grid(space, trials)
    if scores is None:
        return []
    rows, columns = grid_labels(space)
    head = [f"{space[0].key} \\ {space[1].key}", *columns]
    lines = [
        [name, *("" if np.isnan(value) else measure.text(value) for value in values)]
        for name, values in zip(rows, scores, strict=True)
    ]
    return [table(head, lines)]


def draw(figure: Any, space: Space, trials: Sequence[FrozenTrial], measure: Measure) -> None:
    """The score against each parameter; beside them the table in colours, if it is a grid."""
    scores = grid(space, complete(trials))
    columns = len(space) + (scores is not None)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    trained = [trial for trial in trials if "result" in trial.user_attrs]
    for axis, parameter in zip(axes, space, strict=False):
        draw_parameter(axis, parameter, trained, measure)
    axes[0].legend()
    if scores is not None:
        draw_grid(axes[-1], space, scores, measure)


def draw_parameter(
    axis: Any, parameter: Choices | Range, trials: Sequence[FrozenTrial], measure: Measure
) -> None:
    labels = list(parameter.labels()) if isinstance(parameter, Choices) else []
    for state, marker, colour in (
        (TrialState.PRUNED, "x", "tab:red"),
        (TrialState.COMPLETE, "o", "tab:blue"),
    ):
        points = [trial for trial in trials if trial.state == state]
        values = [trial.params[parameter.key] for trial in points]
        places = [labels.index(value) for value in values] if labels else values
        heights = [measure.scale * result_of(trial).score for trial in points]
        label = f"{state.name.lower()}: {len(points)}"
        if points:
            axis.scatter(places, heights, marker=marker, color=colour, label=label)
    if isinstance(parameter, Choices):
        axis.set_xticks(range(len(labels)), labels)
    elif parameter.log:
        axis.set_xscale("log")
    axis.set(xlabel=parameter.key, ylabel=measure.axis)
    axis.grid(alpha=0.3)


def draw_grid(axis: Any, space: Space, scores: Array, measure: Measure) -> None:
    rows, columns = grid_labels(space)
    axis.imshow(measure.sign * scores, cmap="viridis", aspect="auto")
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.set(xlabel=space[1].key, ylabel=space[0].key, title=measure.axis)
    middle = np.nanmean(scores)
    for row, column in np.argwhere(np.isfinite(scores)):
        score = scores[row, column]
        colour = "black" if measure.sign * (score - middle) > 0 else "white"
        text = f"{100 * score:.2f}" if measure.unit is None else f"{score:.4g}"
        axis.text(column, row, text, ha="center", va="center", color=colour)
