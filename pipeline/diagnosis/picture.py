"""The learning curves as a picture, with what was diagnosed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from pipeline.reporting import drawing
from pipeline.training.learning_curves import Row


def draw(
    path: Path, rows: Sequence[Row], kept: int | None, diagnosis: tuple[str, float, str]
) -> None:
    """Loss and accuracy, as far as the rows have them, of p-training and validation over the epochs; a line marks the epoch that
    was kept, if any.

    `diagnosis` is the verdict, the epoch where what it says begins, shaded from there on, and its sentence, as the title.
    """
    from matplotlib.figure import (
        Figure,
    )  # takes a second, which the many readers of the file need not wait
    from matplotlib.ticker import MaxNLocator

    verdict, since, sentence = diagnosis
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for axis, metric in zip(axes, ("loss", "accuracy"), strict=True):
        for split, label in (("train", "p-training"), ("validation", "validation")):
            if f"{split}_{metric}" in rows[0]:
                axis.plot(
                    epochs, [row[f"{split}_{metric}"] for row in rows], marker="o", label=label
                )
        if kept is not None:
            axis.axvline(kept, color="grey", linestyle=":", label=f"kept: epoch {kept}")
        if verdict != "good_fit":
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
        axis.legend()
    figure.suptitle("\n".join(textwrap.wrap(sentence, 120)), fontsize=10)
    drawing.save(path, figure)
