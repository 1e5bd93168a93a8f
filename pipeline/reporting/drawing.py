"""Saves Matplotlib figures without dates, so that equal contents give equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.files.atomic import replacing


def save(path: Path, figure: Any, title: str = "") -> None:
    if title:
        figure.suptitle(title)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})


@contextmanager
def figure(path: Path, size: tuple[float, float]) -> Iterator[Any]:
    """A Matplotlib figure of `size` inches to draw on, saved when the block ends."""
    # takes a second: an error message should not wait for it
    from pipeline.reporting.figures import Figure

    canvas = Figure(figsize=size, layout="constrained")
    yield canvas
    save(path, canvas)


def limit(axis: Any, low: float, high: float) -> None:
    """Ends the vertical axis where no higher or lower value is possible."""
    bottom, top = axis.get_ylim()
    axis.set_ylim(max(bottom, low), min(top, high))
