"""Recordings of a sensor with two channels, good and broken, and how they are read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, series_folder
from pipeline.datasets.reading import recording_files, recording_windows
from pipeline.files.artifacts import Array
from serving.recording import Sampling

RATE, LENGTH = 10, 20
SAMPLING = Sampling(RATE, 10, ("x", "y"))


def rows(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 2)).round(3).astype(np.float32)


def as_csv(values: Array, head: str = "x,y", *columns: list[str]) -> bytes:
    cells = zip(*np.asarray(values).T.tolist(), *columns, strict=True)
    return "\n".join([head, *(",".join(map(str, row)) for row in cells)]).encode()


def as_npz(**arrays: Array | list[str]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def read(data: bytes, name: str = "a.csv", channels: tuple[str, ...] | None = None) -> list[Array]:
    """The windows of every recording in a file."""
    return [
        window.values
        for recording in recording_files.recordings(io.BytesIO(data), name, channels)
        for window in recording_windows.windows(recording, SAMPLING, LENGTH)
    ]


def load(root: Path, **values: object) -> Raw:
    options = {"rate": RATE, "seconds": LENGTH / RATE, **values}
    return series_folder.load(
        Dataset.model_validate({"name": "series_folder", "path": str(root), **options})
    )


def write(root: Path, **files: bytes) -> Path:
    """Files in a folder; `__` in a name is a slash, and `_csv` its suffix."""
    for name, data in files.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = root / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


GOOD = as_csv(rows(40))
BROKEN = {
    "nothing": (b"", "holds no rows"),
    "only names": (b"x,y\n", "holds no rows"),
    "a ragged row": (
        GOOD + b"\n1,2,3\n",
        "has 3 cells in row 41; expected 2, as in its first line",
    ),
    "text": (GOOD + b"\n1,fast\n", "has 'fast' in row 41 of column y; expected a number"),
    "bytes": (bytes(range(256)) * 9, "is not a CSV in UTF-8"),
    "bytes far from its beginning": (GOOD + b"\n1,1" * 9000 + b"\xff", "is not a CSV in UTF-8"),
    "a long line": (b"1" * 70_000, "has a line of more than 65,536 characters"),
    "a rate of 0": (
        as_csv(np.column_stack([np.zeros(40), rows(40)]), "time,x,y"),
        "has times that stand still or run backwards; expected a later time in each row",
    ),
    "a word for a missing value": (GOOD + b"\n1,NA\n", "or an empty cell for a missing value"),
    "another rate": (
        as_csv(np.column_stack([np.arange(40) / 50, rows(40)]), "time,x,y"),
        "has 50 Hz by its column time",
    ),
    "other channels": (as_csv(rows(40), "x,z"), "has no column y; its columns are x, z"),
    "a name twice": (as_csv(rows(40), "x,x"), "names a column twice"),
}


def labelled(raw: Raw) -> dict[str, int]:
    return {
        name: int((raw.train_labels == number).sum()) for number, name in enumerate(raw.class_names)
    }
