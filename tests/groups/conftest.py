"""Photos of four cameras."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import download
from pipeline.config.params import Params, Preprocess
from pipeline.files.artifacts import Array
from pipeline.files.pictures.picture_file import inspect
from pipeline.files.pictures.picture_table import Picture, Table
from tests.settings import configure


def settings(**values: object) -> Preprocess:
    return Preprocess.model_validate(
        {"subset": None, "validation": 0.2, "order": "stratified", "seed": 42, **values}
    )


def picture(file: str, image: Image.Image, **columns: str) -> Picture:
    data = io.BytesIO()
    image.save(data, "PNG")
    bytes_ = data.getvalue()
    return Picture(
        file, hashlib.sha256(bytes_).hexdigest(), inspect(bytes_, None)[0], None, columns
    )


def table(rows: list[Picture]) -> Table:
    return Table.of(rows, len(rows))


def scene(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)


@pytest.fixture
def cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Two classes by five cameras, eight photos each; the first is also a copy in another class."""
    for camera in range(5):
        for label in range(2):
            for number in range(8):
                path = tmp_path / "photos" / "ab"[label] / f"camera{camera}_{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                scene(1000 * camera + 100 * label + number).save(path)
    monkeypatch.chdir(tmp_path)
    dataset = {"name": "image_folder", "path": "photos", "height": 8, "width": 8, "channels": 3}
    values = {f"dataset.{key}": value for key, value in dataset.items()}
    return configure({**values, "preprocess.group": r"(camera\d)"})


def arrays(settings: Params, **more: Array) -> Params:
    """An npz file of 40 images by five people, two of whom are the test set of its own.

    Class 1 is bright, and the images of person 2 have the labels of the other class.
    """
    rng = np.random.default_rng(0)
    person = np.arange(40) // 8
    labels = np.arange(40) % 2
    bright = labels ^ (person == 2)
    images = (rng.integers(0, 100, (40, 8, 8)) + 150 * bright[:, None, None]).astype(np.uint8)
    parts = {"x": images, "y": labels, "person": person}
    content = {f"{name}_train": values[:24] for name, values in parts.items()}
    content |= {f"{name}_test": values[24:] for name, values in parts.items()}
    content |= more
    np.savez("own.npz", allow_pickle=False, **content)
    values = {"dataset.name": "npz", "dataset.path": "own.npz", "preprocess.group": "person"}
    changed = configure(values, settings)
    download.main()
    return changed
