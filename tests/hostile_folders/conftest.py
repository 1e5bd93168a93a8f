"""Folders and zip files as nobody should send them: each case adds something to 24 good pictures.

The whole `download` and `preprocess` run on it, and the good pictures are all in the splits.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import download, preprocess
from pipeline.files import split_files
from tests.conftest import OWN_PROBLEM
from tests.settings import configure

GOOD = 24
Case = Callable[[Path], None]


def scene(seed: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(seed: int, kind: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    scene(seed).save(data, kind, **options)
    return data.getvalue()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in range(GOOD):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    return tmp_path / "photos"


def write_params(**values: Any) -> None:
    own = {"dataset.name": "image_folder", "dataset.path": "photos", "dataset.channels": 3}
    size = {"dataset.height": 12, "dataset.width": 12, "preprocess.subset": None}
    configure({**OWN_PROBLEM, **own, **size, **values})


def prepared(**values: Any) -> int:
    """How many pictures are in the splits after `download` and `preprocess`."""
    write_params(**values)
    download.main()
    preprocess.main()
    return sum(len(split_files.load_split(split)[1]) for split in ("train", "validation", "test"))
