"""Pictures as files: without dates, so that equal contents are equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.files.atomic import replacing


def save(path: Path, figure: Any) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})


@contextmanager
def figure(path: Path, size: tuple[float, float]) -> Iterator[Any]:
    """A matplotlib figure to draw on, saved without a date, so that equal contents are equal bytes."""
    from matplotlib.figure import Figure  # takes a second, which a mistake need not wait for

    drawn = Figure(figsize=size, layout="constrained")
    yield drawn
    save(path, drawn)
