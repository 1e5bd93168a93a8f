"""Photos in a folder, and in a folder of zip files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.config.params import Dataset
from pipeline.datasets import image_folder, image_list
from pipeline.files import pictures
from pipeline.files.pictures import Pictures

SIDE = 16
SIZE = {"height": SIDE, "width": SIDE, "channels": 3}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 pictures of two classes."""
    for number in range(40):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (40, 48, 3), np.uint8)
        Image.fromarray(noise).save(path, quality=95)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def sharded(folder: Path, method: int = zipfile.ZIP_STORED) -> Path:
    """Three zip files with the pictures of a folder, in a folder of their own."""
    shards = folder.with_name("shards")
    shards.mkdir()
    files = sorted(folder.rglob("*.jpg"))
    for number in range(3):
        with zipfile.ZipFile(shards / f"{number}.zip", "w", method) as archive:
            for file in files[number::3]:
                archive.write(file, file.relative_to(folder))
    return shards


def load(path: Path | str, **values: Any) -> Pictures:
    dataset = {"name": "image_folder", "path": str(path), **SIZE, **values}
    module = image_list if dataset["name"] == "image_list" else image_folder
    photos = pictures.on_disk(module.load(Dataset.model_validate(dataset)).train_images)
    assert photos is not None
    return photos


def check_equal(photos: Pictures, others: Pictures) -> None:
    assert photos.rows.files.tolist() == others.rows.files.tolist()
    assert photos.sha256() == others.sha256()
    np.testing.assert_array_equal(photos[:], others[:])
