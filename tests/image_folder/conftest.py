"""Folders of pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, image_folder
from pipeline.files import pictures
from pipeline.files.pictures.picture_table import Picture


def picture(
    path: Path, mode: str = "RGB", size: tuple[int, int] = (9, 9), colour: object = 0
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)  # type: ignore[arg-type]


def dataset(path: Path, **values: object) -> Dataset:
    return Dataset.model_validate({"name": "image_folder", "path": str(path), **values})


def load(path: Path, **values: object) -> Raw:
    return image_folder.load(dataset(path, **values))


def rows(raw: Raw) -> list[Picture]:
    photos = pictures.on_disk(raw.train_images)
    assert photos
    return list(photos.rows)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    picture(root / "cat" / "grey.png", "L", (30, 50), 100)
    picture(root / "cat" / "palette.png", "P", (8, 8), 0)
    picture(root / "cat" / "sixteen.png", "I;16", (9, 9), 25700)
    picture(root / "dog" / "colour.jpg", "RGB", (10, 10), (200, 200, 200))
    picture(root / "dog" / "clear.png", "RGBA", (10, 10), (0, 0, 0, 0))
    (root / "dog" / "broken.png").write_bytes(b"\x89PNG but not really")
    return root


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("cat", "dog"):
        for number in range(3):
            picture(root / name / f"{number}.png", colour=(number, 0, len(name)))
    return root
