"""Folders, surveys and recipes for the tests of planning."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.planning import (
    kinds,
    recipe,
)
from pipeline.planning.data import Survey
from tests.conftest import ROOT

SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")


def photo(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """30 pictures of cats and 20 of dogs, in a project that has only its params.yaml."""
    for number in range(50):
        photo(tmp_path / "My Pets" / ("cat" if number < 30 else "dog") / f"{number}.png", number)
    (tmp_path / "params.yaml").write_text(SHIPPED, encoding="utf-8")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/none").touch()
    monkeypatch.chdir(tmp_path)
    return Path("My Pets")


def photos(images: int, side: int = 200, **others: Any) -> Survey:
    """What a survey says of a folder with `images` colour pictures of two classes."""
    counts = {"cat": images // 2, "dog": images - images // 2}
    values: dict[str, object] = {"name": "image_folder", "path": "pets"}
    return Survey(values, list(counts), {"train": images}, counts, side=side, colour=True, **others)


def values(data: Survey, board: str | None = None, weights: bool = False) -> dict[str, Any]:
    network = kinds.kind_of(data).candidates(data, board, weights)[0]
    return dict(recipe.overrides(recipe.propose(data, Path("pets"), network, board)))


def arrays(path: Path, **changes: Any) -> Path:
    named = {"x_train": np.zeros((30, 28, 28), np.uint8), "y_train": np.arange(30) % 3, **changes}
    np.savez(path, **named)
    return path


def strangers(folder: Path, *names: str) -> Path:
    """A part that has no known name, beside the training part."""
    for name in names or ("train", "extra"):
        (folder / name).mkdir()
        for kind in ("cat", "dog"):
            shutil.copytree(folder / kind, folder / name / kind)
    for kind in ("cat", "dog"):
        shutil.rmtree(folder / kind)
    return folder


def one_folder(folder: Path) -> Path:
    """The pictures of both classes in a folder `images`, and a list beside it."""
    (folder / "images").mkdir()
    rows = ["image,label"]
    for path in sorted(folder.rglob("*.png")):
        path.rename(folder / "images" / path.name)
        rows.append(f"{path.stem},{path.parent.name}")
    for name in ("cat", "dog"):
        (folder / name).rmdir()
    (folder / "train.csv").write_text("\n".join(rows))
    return folder


def listed(folder: Path, header: str, cell: Callable[[int], str]) -> Path:
    """A list of the 50 pictures, without class folders."""
    rows = [f"{number},{cell(number)}" for number in range(50)]
    (one_folder(folder) / "train.csv").write_text("\n".join([header, *rows]))
    return folder
