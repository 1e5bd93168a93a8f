"""Bars with intervals: the recall of each class, the accuracy of each group, the worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.reports.evaluate import EvaluationReport, GroupScore
from pipeline.process.words import percent
from pipeline.reporting import drawing
from pipeline.reporting.pictures import plain, short, shown_names

MOST = 40  # bars; of more only the worst are drawn
MOST_LEFT_OUT = 9  # tenths of the axis: where all bars are long, their ends are shown
WIDTH, HEIGHT = 6.0, 0.24  # inches of a panel, and of a bar


@dataclass(frozen=True)
class Bar:
    """`right` of `images` examples, with the 95 % interval of this share."""

    name: str
    right: int
    images: int
    interval: tuple[float, float]

    @property
    def share(self) -> float:
        return self.right / max(self.images, 1)


@dataclass(frozen=True)
class Bars:
    """A panel: a bar for each class or group, and a line, such as their mean."""

    title: str
    bars: Sequence[Bar]
    line: tuple[str, float]


def of_groups(groups: Mapping[str, GroupScore], line: tuple[str, float]) -> Bars:
    bars = [Bar(name, score.right, score.images, score.interval) for name, score in groups.items()]
    return Bars("accuracy by group", bars, line)


def of_test(path: Path, report: EvaluationReport) -> None:
    """Draws the recall of each class and, if there are groups, the accuracy of each."""
    scores = report.per_class
    classes = [
        Bar(name, round(score.recall * score.images), score.images, score.recall_interval)
        for name, score in zip(shown_names(list(scores)), scores.values(), strict=True)
    ]
    panels = [Bars("recall by class", classes, ("mean", report.balanced_accuracy))]
    if report.per_group:
        panels.append(of_groups(report.per_group, ("all", report.test_accuracy)))

    with drawing.figure(path, size(panels)) as figure:
        draw(figure, panels)


def size(panels: Sequence[Bars]) -> tuple[float, float]:
    """Width and height of the picture, in inches."""
    return WIDTH * len(panels), HEIGHT * _rows(panels) + 1.3


def _rows(panels: Sequence[Bars]) -> int:
    return min(max(len(panel.bars) for panel in panels), MOST)


def draw(figure: Any, panels: Sequence[Bars]) -> None:
    """The panels side by side, as high as the longest needs."""
    # All text goes through `plain` before the first axis, which takes the fonts set by then.
    names = [[plain(short(bar.name)) for bar in _worst(panel)] for panel in panels]
    axes = figure.subplots(1, len(panels), squeeze=False).flat
    for axis, panel, shown in zip(axes, panels, names, strict=True):
        draw_panel(axis, panel, shown, _rows(panels))


def _worst(panel: Bars) -> list[Bar]:
    return sorted(panel.bars, key=lambda bar: (bar.share, -bar.images))[:MOST]


def draw_panel(axis: Any, panel: Bars, names: Sequence[str], rows: int) -> None:
    """Horizontal bars in percent, the worst on top, each with its counts on the right.

    The panel has room for `rows`, so that bars are as thick as those of the panel beside it.
    """
    bars = _worst(panel)
    places = np.arange(len(bars))
    shares = 100 * np.array([bar.share for bar in bars])
    ends = 100 * np.array([bar.interval for bar in bars]).T
    axis.barh(places, shares, color="tab:blue", alpha=0.55, height=0.7)
    lengths = np.maximum([shares - ends[0], ends[1] - shares], 0)
    axis.errorbar(shares, places, xerr=lengths, fmt="none", ecolor="black", elinewidth=1, capsize=2)
    line, value = panel.line
    start = 10 * min(int(ends[0].min() / 10), MOST_LEFT_OUT)
    axis.axvline(100 * value, color="tab:orange", linestyle="--", linewidth=1.2)
    axis.set_yticks(places, names, fontsize=8)
    axis.set(xlim=(start, 100), ylim=(rows - 0.4, -0.6))
    counts = axis.secondary_yaxis("right")
    counts.set_yticks(places, [f"{bar.right:,} of {bar.images:,}" for bar in bars], fontsize=8)
    counts.tick_params(length=0)
    many = len(panel.bars) > MOST
    subject = f": the worst {MOST} of {len(panel.bars):,}" if many else ""
    axis.set_title(f"{panel.title}{subject}", fontsize=10)
    begin = f", from {start} %" if start else ""
    axis.set_xlabel(
        f"%{begin}, with 95 % intervals; dashed: {line}, {percent(value, 1)}", fontsize=9
    )
    axis.grid(axis="x", alpha=0.3)
