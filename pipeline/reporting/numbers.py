"""Pictures of numbers: their errors, and how they are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.reporting import drawing
from pipeline.reporting.pictures import plain, short

BINS = 40


def spread(path: Path, labels: Mapping[str, Array], unit: str, title: str) -> None:
    """How often each number occurs in each split, as a share of it."""
    everything = np.concatenate(list(labels.values()))
    edges = np.linspace(everything.min(), everything.max(), BINS + 1)
    with drawing.figure(path, (8, 3.6)) as figure:
        axis = figure.add_subplot()
        for split, values in labels.items():
            counts, _ = np.histogram(values, edges)
            label = f"{split}: {len(values):,}"
            axis.stairs(100 * counts / max(len(values), 1), edges, label=label)
        axis.set(xlabel=plain(unit), ylabel="% of the set", title=plain(title))
        axis.grid(alpha=0.3)
        figure.legend(loc="outside lower center", ncols=len(labels))


def errors(path: Path, by_model: Mapping[str, Array], unit: str, covered: float | None) -> None:
    """Which share of absolute errors is at most as large, for each model.

    A dotted line is where `covered`, the share that intervals must hold, is reached.
    """
    with drawing.figure(path, (8, 4.5)) as figure:
        axis = figure.add_subplot()
        shares = 100 * np.linspace(0, 1, 501)
        for name, values in by_model.items():
            axis.plot(np.percentile(values, shares), shares, label=name)
        if covered is not None:
            axis.axhline(100 * covered, color="grey", linestyle=":")
        axis.set(
            xlabel=f"absolute error, {plain(unit)}",
            ylabel="% of the test examples with at most this error",
        )
        axis.grid(alpha=0.3)
        figure.legend(loc="outside lower center", ncols=4)


def bars(
    path: Path,
    rows: Sequence[tuple[str, int, float, tuple[float, float]]],
    line: float,
    unit: str,
    title: str,
) -> None:
    """A bar for each row of name, count, mean absolute error and its 95 % interval."""
    names = [plain(short(name)) for name, *_ in rows]
    places, means = np.arange(len(rows)), np.array([mean for _, _, mean, _ in rows])
    ends = np.array([interval for *_, interval in rows]).T
    with drawing.figure(path, (7, 1.4 + 0.24 * len(rows))) as figure:
        axis = figure.add_subplot()
        axis.barh(places, means, color="tab:blue", alpha=0.55, height=0.7)
        lengths = np.maximum([means - ends[0], ends[1] - means], 0)
        axis.errorbar(means, places, xerr=lengths, fmt="none", ecolor="black", capsize=2)
        axis.axvline(line, color="tab:orange", linestyle="--", linewidth=1.2)
        axis.set_yticks(places, names, fontsize=8)
        axis.set(ylim=(len(rows) - 0.4, -0.6), title=plain(title))
        axis.set_xlabel(
            f"mean absolute error, {plain(unit)}, with 95 % intervals; dashed: of all", fontsize=9
        )
        axis.grid(axis="x", alpha=0.3)
