"""What a search has found: its trials ranked, in a sentence, a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.config.overrides import Choices, Range, written
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from pipeline.reporting.tables import markdown
from pipeline.search.analysis import Answer, Question
from pipeline.search.cached_training import Result
from pipeline.search.optuna_storage import Search

Space = Sequence[Choices | Range]


def outcome(one: FrozenTrial) -> str:
    if "refused" in one.user_attrs:
        return f"refused: {one.user_attrs['refused']}"
    result = result_of(one)
    pruned = f", pruned after {len(result.rows)} epochs" if one.state == TrialState.PRUNED else ""
    return f"validation accuracy {result.accuracy:.4f}{pruned}"


def ranked(found: Study) -> list[FrozenTrial]:
    """What came of each slot: the finished by accuracy and then by loss, then the pruned, then what could not be trained."""

    def rank(one: FrozenTrial) -> tuple[int, float, float]:
        if "refused" in one.user_attrs:
            return 2, 0.0, 0.0
        result = result_of(one)
        return int(one.state == TrialState.PRUNED), -result.accuracy, result.loss

    ended = [
        one
        for one in found.get_trials()
        if "refused" in one.user_attrs or one.state in (TrialState.COMPLETE, TrialState.PRUNED)
    ]
    return sorted(ended, key=rank)


def result_of(one: FrozenTrial) -> Result:
    return Result(**one.user_attrs["result"])


def values_of(one: FrozenTrial, searched: Space) -> dict[str, Any]:
    """The values that go into params.yaml."""
    return {
        part.key: part.labels()[one.params[part.key]]
        if isinstance(part, Choices)
        else one.params[part.key]
        for part in searched
    }


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def answer(asked: Question, search: Search, done: Sequence[FrozenTrial]) -> Answer:
    """Raises UserError where no trial could be trained."""
    whole = [one for one in done if one.state == TrialState.COMPLETE]
    if not whole:
        raise UserError(
            f"no trial could be trained; the first says: {done[0].user_attrs['refused']}"
        )
    best = result_of(whole[0])
    low, high = statistics.accuracy_interval(
        best.validation_examples - best.wrong, best.validation_examples
    )
    near = sum(result_of(one).accuracy >= low for one in whole[1:])
    values = values_of(whole[0], search.space)
    named = ", ".join(
        f"{key}={short(value) if isinstance(value, float) else written(value)}"
        for key, value in values.items()
    )
    pruned = sum(one.state == TrialState.PRUNED for one in done)
    notes = [
        "The best of many is partly the luckiest of many: `dvc repro` shows what it is worth on the test set."
    ]
    return Answer(
        f"The best of {len(done)} trials ({pruned} pruned) is {named}, with a validation accuracy of {best.accuracy:.2%} (95 % interval "
        f"{low:.2%} to {high:.2%}); {near} more reach into that interval. `{asked.command(values)}` takes it into the line.",
        [
            "trial",
            *short_names(search.space),
            "validation accuracy",
            "loss",
            "epochs trained",
            "outcome",
        ],
        [row(one) for one in done],
        {"best_validation_accuracy": best.accuracy, "trials": len(done), "pruned": pruned},
        [*pivot(search.space, whole), *notes],
    )


def short_names(searched: Space) -> list[str]:
    """The last part of each key, or the whole key where two end alike."""
    ends = [part.key.split(".")[-1] for part in searched]
    return [
        part.key if ends.count(end) > 1 else end for part, end in zip(searched, ends, strict=True)
    ]


def row(one: FrozenTrial) -> list[str]:
    values = [str(one.number), *(short(value) for value in one.params.values())]
    if "refused" in one.user_attrs:
        return [*values, "", "", "", f"refused: {one.user_attrs['refused']}"]
    result = result_of(one)
    return [
        *values,
        f"{result.accuracy:.2%}",
        f"{result.loss:.4f}",
        str(len(result.rows)),
        one.state.name.lower(),
    ]


def cells(searched: Space, whole: Sequence[FrozenTrial]) -> Any:
    """The validation accuracy (rows, columns) of a grid of two parameters; NaN where a trial is missing. None for others."""
    if len(searched) != 2 or not all(isinstance(part, Choices) for part in searched):
        return None
    first, second = ([*part.labels()] for part in searched if isinstance(part, Choices))
    found = np.full((len(first), len(second)), np.nan)
    for one in whole:
        place = first.index(one.params[searched[0].key]), second.index(one.params[searched[1].key])
        found[place] = np.fmax(found[place], result_of(one).accuracy)
    return found


def pivot(searched: Space, whole: Sequence[FrozenTrial]) -> list[str]:
    found = cells(searched, whole)
    if found is None:
        return []
    rows, columns = ([*part.labels()] for part in searched if isinstance(part, Choices))
    head = [f"{searched[0].key} \\ {searched[1].key}", *columns]
    body = [
        [name, *("" if np.isnan(value) else f"{value:.2%}" for value in values)]
        for name, values in zip(rows, found, strict=True)
    ]
    return ["\n".join(markdown(line) for line in (head, ["---"] * len(head), *body))]


def draw(figure: Any, searched: Space, done: Sequence[FrozenTrial]) -> None:
    """The accuracy against each parameter; of a grid of two, the table in colours beside it."""
    found = cells(searched, [one for one in done if one.state == TrialState.COMPLETE])
    axes = figure.subplots(1, len(searched) + (found is not None), squeeze=False)[0]
    trained = [one for one in done if "result" in one.user_attrs]
    for axis, part in zip(axes, searched, strict=False):
        labels = [*part.labels()] if isinstance(part, Choices) else []
        for state, marker, colour in (
            (TrialState.PRUNED, "x", "tab:red"),
            (TrialState.COMPLETE, "o", "tab:blue"),
        ):
            points = [one for one in trained if one.state == state]
            places = [
                labels.index(one.params[part.key]) if labels else one.params[part.key]
                for one in points
            ]
            heights = [100 * result_of(one).accuracy for one in points]
            if points:
                axis.scatter(
                    places,
                    heights,
                    marker=marker,
                    color=colour,
                    label=f"{state.name.lower()}: {len(points)}",
                )
        if isinstance(part, Choices):
            axis.set_xticks(range(len(labels)), labels)
        elif part.log:
            axis.set_xscale("log")
        axis.set(xlabel=part.key, ylabel="validation accuracy, %")
        axis.grid(alpha=0.3)
    axes[0].legend()
    if found is not None:
        rows, columns = ([*part.labels()] for part in searched if isinstance(part, Choices))
        axes[-1].imshow(100 * found, cmap="viridis", aspect="auto")
        axes[-1].set_xticks(range(len(columns)), columns)
        axes[-1].set_yticks(range(len(rows)), rows)
        axes[-1].set(xlabel=searched[1].key, ylabel=searched[0].key, title="validation accuracy, %")
        for place in np.argwhere(np.isfinite(found)):
            shade = "black" if found[tuple(place)] > np.nanmean(found) else "white"
            axes[-1].text(
                place[1],
                place[0],
                f"{100 * found[tuple(place)]:.2f}",
                ha="center",
                va="center",
                color=shade,
            )
