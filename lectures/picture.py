"""The picture of a study: losses by epoch, figures beside the published ones, errors by penalty, or spreads by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lectures import comparison
from lectures.example import Study
from lectures.outcome import Outcome
from pipeline.files.artifacts import Array
from pipeline.reporting.drawing import figure

COLUMNS = 4
FLOOR = 0.2  # of the lowest validation loss: a training loss below it is left out of the picture
STYLES = ("-", "--", "-.", ":")


def draw(path: Path, study: Study, outcomes: Sequence[Outcome]) -> None:
    drawing, size = {
        "losses": (
            losses,
            (3.3 * min(COLUMNS, len(outcomes)), 2.7 * -(-len(outcomes) // COLUMNS) + 0.3),
        ),
        "figures": (figures, (8.0, 1.2 + 0.28 * len(numeric(study, outcomes)))),
        "errors": (errors, (7.0, 4.5)),
        "spreads": (spreads, (8.0, 4.5)),
    }[study.picture]
    with figure(path, size) as drawn:
        drawing(drawn, study, outcomes)


def losses(drawn: Any, study: Study, outcomes: Sequence[Outcome]) -> None:
    """Loss of p-training and validation by epoch, a panel for each variation, with the diagnosis; all of the first seed."""
    from matplotlib import ticker

    axes = drawn.subplots(
        -(-len(outcomes) // COLUMNS), min(COLUMNS, len(outcomes)), sharey=True, squeeze=False
    )
    for axis, outcome in zip(axes.flat, outcomes, strict=False):
        epochs = outcome.curves["epoch"]
        for name, label in (("train_loss", "p-training"), ("validation_loss", "validation")):
            axis.plot(
                epochs, outcome.curves[name], marker="o" if len(epochs) == 1 else None, label=label
            )
        verdict = str(outcome.figures["verdict"][0]).replace("_", " ")
        axis.set_title(f"{outcome.name}\n{verdict}", fontsize=9)
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(outcomes) :]:
        axis.axis("off")
    lowest = {
        name: min(min(outcome.curves[f"{name}_loss"]) for outcome in outcomes)
        for name in ("train", "validation")
    }
    drawn.axes[0].set_yscale("log")
    drawn.axes[0].set_ylim(bottom=0.9 * max(lowest["train"], FLOOR * lowest["validation"]))
    drawn.axes[0].yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    drawn.axes[0].yaxis.set_major_formatter("{x:g}")
    drawn.axes[0].yaxis.set_minor_formatter(ticker.NullFormatter())
    drawn.axes[0].legend(fontsize=8)
    drawn.supxlabel("epoch", fontsize=9)
    drawn.supylabel("loss", fontsize=9)


def numeric(
    study: Study, outcomes: Sequence[Outcome]
) -> list[tuple[str, str, Array, float | None]]:
    """Variation, measure, our values and the published one, of all that the table shows as shares."""
    by_name = {outcome.name: outcome.figures for outcome in outcomes}
    found = []
    for variation in study.variations:
        for measure in study.shown(variation):
            if comparison.is_share(measure) and measure in by_name[variation.name]:
                published = variation.published.get(measure)
                values = np.array(by_name[variation.name][measure], float)
                found.append(
                    (
                        variation.name,
                        measure,
                        values,
                        published if isinstance(published, float) else None,
                    )
                )
    return found


def figures(drawn: Any, study: Study, outcomes: Sequence[Outcome]) -> None:
    """Each share in percent: ours of all seeds, and a cross where a figure was published."""
    axis = drawn.add_subplot()
    found = numeric(study, outcomes)
    several = len({measure for _, measure, _, _ in found}) > 1
    for place, (_, _, values, published) in enumerate(found):
        ours = axis.plot(100 * values, [place] * len(values), "o", color="tab:blue", alpha=0.7)[0]
        ours.set_label("ours, each seed" if place == 0 else "")
        if published is not None:
            axis.plot(100 * published, place, "x", color="tab:red", markersize=8, label="published")
    names = [
        f"{name}: {measure.replace('_', ' ')}" if several else name for name, measure, _, _ in found
    ]
    axis.set_yticks(range(len(found)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set(xlabel="%" if several else f"{found[0][1].replace('_', ' ')}, %")
    axis.grid(alpha=0.3)
    handles, labels = axis.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axis.legend(unique.values(), unique.keys(), fontsize=8)


def errors(drawn: Any, study: Study, outcomes: Sequence[Outcome]) -> None:
    """Root mean square errors by penalty, which are the same for each variation; the mean over the seeds."""
    axis = drawn.add_subplot()
    curves = outcomes[0].curves
    for name, label in (("train_error", "training"), ("test_error", "test")):
        line = axis.plot(curves["penalty"][1:], curves[name][1:], label=label)[0]
        axis.axhline(
            curves[name][0],
            color=line.get_color(),
            linestyle=":",
            label=f"{label}, without penalty",
        )
    axis.set(xscale="log", yscale="log", xlabel="lambda", ylabel="error (root mean square)")
    axis.grid(alpha=0.3)
    axis.legend()


def spreads(drawn: Any, study: Study, outcomes: Sequence[Outcome]) -> None:
    """The standard deviation of each hidden layer's activations before the first step, of the first seed."""
    axis = drawn.add_subplot()
    for number, outcome in enumerate(outcomes):
        layers, deviations = (
            np.array(outcome.curves["layer"]),
            np.array(outcome.curves["deviation"]),
        )
        seen = deviations > 0  # a logarithmic axis has no zero
        label = outcome.name if seen.any() else f"{outcome.name}: 0 everywhere"
        axis.plot(
            layers[seen],
            deviations[seen],
            STYLES[number % len(STYLES)],
            marker="o",
            markersize=3,
            label=label,
        )
    axis.set(yscale="log", xlabel="hidden layer", ylabel="standard deviation of activations")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
