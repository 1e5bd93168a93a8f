"""A picture of how many examples each class has in each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.reporting import drawing
from pipeline.reporting.pictures import plain, shown_names

NAMED = 40  # classes; of more, only the smallest and the largest are named
EXTREMES = 3
MANY_HEIGHT = 4.5  # inches, of a picture of more


def draw(path: Path, counts: Mapping[str, Array], class_names: Sequence[str]) -> None:
    """`counts` (K,) by split. Above NAMED classes the picture grows no further."""
    # Before the first axis, which takes the fonts set by then.
    names = [plain(name) for name in shown_names(class_names)]
    height = 1.6 + 0.22 * len(names) if len(names) <= NAMED else MANY_HEIGHT
    with drawing.figure(path, (8, height)) as figure:
        axis = figure.add_subplot()
        if len(names) <= NAMED:
            _bars(axis, counts, names)
        else:
            _ranks(axis, counts, names)
        figure.legend(loc="outside lower center", ncols=len(counts))


def _bars(axis: Any, counts: Mapping[str, Array], names: Sequence[str]) -> None:
    left = np.zeros(len(names))
    for split, values in counts.items():
        axis.barh(range(len(names)), values, left=left, label=_label(split, values))
        left += values
    for place, total in enumerate(left):
        axis.text(total, place, f" {total:,.0f}", va="center", fontsize=8)
    axis.set_yticks(range(len(names)), names)
    axis.set(ylim=(len(names) - 0.4, -0.6), xlabel="examples", title="Examples of each class")
    axis.margins(x=0.1)


def _ranks(axis: Any, counts: Mapping[str, Array], names: Sequence[str]) -> None:
    """The classes side by side, the largest first."""
    total = np.sum(list(counts.values()), axis=0)
    order = np.argsort(-total, kind="stable")
    edges, bottom = np.arange(len(names) + 1), np.zeros(len(names))
    for split, values in counts.items():
        top = bottom + values[order]
        axis.stairs(top, edges, baseline=bottom, fill=True, label=_label(split, values))
        bottom = top
    largest, smallest = (
        ", ".join(f"{names[label]} ({total[label]:,.0f})" for label in part)
        for part in (order[:EXTREMES], order[-EXTREMES:])
    )
    axis.set(
        xlim=(0, len(names)),
        xlabel=f"{len(names):,} classes, the largest first\nlargest: {largest}\n"
        f"smallest: {smallest}",
        ylabel="examples",
        title="Examples of each class",
    )


def _label(split: str, values: Array) -> str:
    return f"{split}: {values.sum():,.0f}"
