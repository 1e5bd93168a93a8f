"""A picture of the learning curves with their diagnosis."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.files.reports.diagnose import NOT_TRAINED
from pipeline.reporting import drawing
from pipeline.training.learning_curves import EPOCH, VALIDATION_ERROR, Row


def draw(
    path: Path, rows: Sequence[Row], kept_epoch: int | None, diagnosis: tuple[str, float, str]
) -> None:
    """Draws loss and accuracy of training and validation, as far as the rows have them, by epoch.

    For a number, it draws the error instead of the accuracy.

    A dotted line marks `kept_epoch`. `diagnosis` is the verdict, the epoch from which it holds
    (shaded from there on, unless that is all of it), and its sentence (the title).
    """
    # imported here because it takes a second, and many import this module without drawing
    from matplotlib.ticker import MaxNLocator

    from pipeline.reporting.figures import Figure

    verdict, since, sentence = diagnosis
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots(1, 2)
    epochs = [row[EPOCH] for row in rows]
    score = "error" if VALIDATION_ERROR in rows[0] else "accuracy"
    for axis, metric in zip(axes, ("loss", score), strict=True):
        _draw_curves(axis, rows, metric)
        if kept_epoch is not None:
            axis.axvline(kept_epoch, color="grey", linestyle=":", label=f"kept: epoch {kept_epoch}")
        if verdict not in ("good_fit", NOT_TRAINED) and since > epochs[0]:
            axis.axvspan(
                since,
                max(epochs[-1], since + 0.2),
                color="tab:red",
                alpha=0.12,
                label=f"{verdict.replace('_', ' ')}: from epoch {since}",
            )
        axis.set(xlabel="epoch", ylabel=metric, title=metric.capitalize())
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    drawing.limit(axes[1], 0, 1 if score == "accuracy" else math.inf)
    names = axes[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=len(names[0]))
    figure.suptitle("\n".join(textwrap.wrap(sentence, 120)), fontsize=10)
    drawing.save(path, figure)


def _draw_curves(axis: Any, rows: Sequence[Row], metric: str) -> None:
    epochs = [row[EPOCH] for row in rows]
    for split, label in (("train", "training"), ("validation", "validation")):
        column = f"{split}_{metric}"
        if column in rows[0]:
            values = [row[column] for row in rows]
            # without clipping, since an accuracy of 1 lies on the edge of the axes
            axis.plot(epochs, values, marker="o", label=label, clip_on=False)
