"""Arrays of one's own, as the dataset npz reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, npz
from pipeline.files.artifacts import Array


def load(folder: Path, **arrays: Array) -> Raw:
    """What is read of an npz file with these arrays, which is written into the folder."""
    path = folder / "own.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return npz.load(Dataset(name="npz", path=str(path)))
