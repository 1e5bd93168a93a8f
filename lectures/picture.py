"""The picture of an example: losses, figures beside the published ones, errors, or spreads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lectures import comparison
from lectures.example import Example
from lectures.outcome import Outcome
from pipeline.files.artifacts import Array
from pipeline.reporting.drawing import figure
from pipeline.training.learning_curves import EPOCH, TRAIN_LOSS, VALIDATION_LOSS

COLUMNS = 4
FLOOR = 0.2  # the axis ends at this share of the lowest validation loss
STYLES = ("-", "--", "-.", ":")


def draw(path: Path, example: Example, outcomes: Sequence[Outcome]) -> None:
    columns, rows = min(COLUMNS, len(outcomes)), -(-len(outcomes) // COLUMNS)
    drawing, size = {
        "losses": (losses, (3.3 * columns, 2.7 * rows + 0.3)),
        "figures": (figures, (8.0, 1.2 + 0.28 * len(shares(example, outcomes)))),
        "errors": (errors, (7.0, 4.5)),
        "spreads": (spreads, (8.0, 4.5)),
    }[example.picture]
    with figure(path, size) as drawn:
        drawing(drawn, example, outcomes)


def losses(drawn: Any, example: Example, outcomes: Sequence[Outcome]) -> None:
    """Training and validation loss by epoch of the first seed, a panel per variation."""
    from matplotlib import ticker

    columns, rows = min(COLUMNS, len(outcomes)), -(-len(outcomes) // COLUMNS)
    axes = drawn.subplots(rows, columns, sharey=True, squeeze=False)
    for axis, outcome in zip(axes.flat, outcomes, strict=False):
        epochs = outcome.curves[EPOCH]
        for name, label in ((TRAIN_LOSS, "training"), (VALIDATION_LOSS, "validation")):
            marker = "o" if len(epochs) == 1 else None  # a line needs two points
            axis.plot(epochs, outcome.curves[name], marker=marker, label=label)
        verdict = str(outcome.figures["verdict"][0]).replace("_", " ")
        axis.set_title(f"{outcome.name}\n{verdict}", fontsize=9)
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(outcomes) :]:
        axis.axis("off")
    lowest = {
        name: min(min(outcome.curves[name]) for outcome in outcomes)
        for name in (TRAIN_LOSS, VALIDATION_LOSS)
    }
    first = drawn.axes[0]
    first.set_yscale("log")
    first.set_ylim(bottom=0.9 * max(lowest[TRAIN_LOSS], FLOOR * lowest[VALIDATION_LOSS]))
    first.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    first.yaxis.set_major_formatter("{x:g}")
    first.yaxis.set_minor_formatter(ticker.NullFormatter())
    first.legend(fontsize=8)
    drawn.supxlabel("epoch", fontsize=9)
    drawn.supylabel("loss", fontsize=9)


@dataclass(frozen=True)
class Share:
    """A measure of a variation as a share: our value for each seed, and the published one."""

    variation: str
    measure: str
    values: Array
    published: float | None


def shares(example: Example, outcomes: Sequence[Outcome]) -> list[Share]:
    """All shares that the example's table shows."""
    by_name = {outcome.name: outcome.figures for outcome in outcomes}
    result = []
    for variation in example.variations:
        for measure in example.shown(variation):
            if not comparison.is_share(measure) or measure not in by_name[variation.name]:
                continue
            published = variation.published.get(measure)
            values = np.array(by_name[variation.name][measure], float)
            figure = published if isinstance(published, float) else None
            result.append(Share(variation.name, measure, values, figure))
    return result


def figures(drawn: Any, example: Example, outcomes: Sequence[Outcome]) -> None:
    """Each share in percent: ours of all seeds, and a cross for the published figure."""
    axis = drawn.add_subplot()
    rows = shares(example, outcomes)
    several = len({row.measure for row in rows}) > 1
    for place, row in enumerate(rows):
        places = [place] * len(row.values)
        ours = axis.plot(100 * row.values, places, "o", color="tab:blue", alpha=0.7)[0]
        ours.set_label("ours, each seed" if place == 0 else "")
        if row.published is not None:
            axis.plot(
                100 * row.published, place, "x", color="tab:red", markersize=8, label="published"
            )
    names = [
        f"{row.variation}: {row.measure.replace('_', ' ')}" if several else row.variation
        for row in rows
    ]
    axis.set_yticks(range(len(rows)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set(xlabel="%" if several else f"{rows[0].measure.replace('_', ' ')}, %")
    axis.grid(alpha=0.3)
    handles, labels = axis.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axis.legend(unique.values(), unique.keys(), fontsize=8)


def errors(drawn: Any, example: Example, outcomes: Sequence[Outcome]) -> None:
    """Mean over the seeds of the root mean square errors by penalty, equal for all variations."""
    axis = drawn.add_subplot()
    curves = outcomes[0].curves
    for name, label in (("train_error", "training"), ("test_error", "test")):
        line = axis.plot(curves["penalty"][1:], curves[name][1:], label=label)[0]
        without = f"{label}, without penalty"
        axis.axhline(curves[name][0], color=line.get_color(), linestyle=":", label=without)
    axis.set(xscale="log", yscale="log", xlabel="lambda", ylabel="error (root mean square)")
    axis.grid(alpha=0.3)
    axis.legend()


def spreads(drawn: Any, example: Example, outcomes: Sequence[Outcome]) -> None:
    """The standard deviation of each hidden layer's activations before training, first seed."""
    axis = drawn.add_subplot()
    for number, outcome in enumerate(outcomes):
        layers = np.array(outcome.curves["layer"])
        deviations = np.array(outcome.curves["deviation"])
        positive = deviations > 0  # a logarithmic axis has no zero
        axis.plot(
            layers[positive],
            deviations[positive],
            STYLES[number % len(STYLES)],
            marker="o",
            markersize=3,
            label=outcome.name if positive.any() else f"{outcome.name}: 0 everywhere",
        )
    axis.set(yscale="log", xlabel="hidden layer", ylabel="standard deviation of activations")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
