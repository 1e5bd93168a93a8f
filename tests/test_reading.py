"""The benchmark of reading compares ways that read the same."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import reading, reading_ways

SIDE = 16
OF_THE_PROJECT = [
    way for way in reading_ways.WAYS if way.startswith(("ours", "PyDataset")) or "Pillow" in way
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for number in range(reading_ways.BATCH):
            photo = io.BytesIO()
            pixels = rng.integers(0, 256, (24, 32, 3), np.uint8)
            Image.fromarray(pixels).save(photo, "JPEG")
            archive.writestr(f"photos/class{number % 3}/{number}.jpg", photo.getvalue())
    (folder / "stores").mkdir()
    reading.store(folder / "photos.zip", folder / "stores", reading_ways.BATCH, [SIDE])
    return folder / "stores"


@pytest.mark.parametrize("way", OF_THE_PROJECT)
def test_a_batch_has_all_photos_and_their_labels(way: str, stores: Path) -> None:
    photos = reading_ways.Photos(stores, SIDE)
    expected = reading_ways.pixels(photos)
    images, labels = next(iter(reading_ways.WAYS[way](photos)))[:2]
    pairs = zip(images, labels, strict=True)
    found = {np.asarray(image).tobytes(): int(label) for image, label in pairs}
    assert found == {
        image.tobytes(): int(label) for image, label in zip(expected, photos.labels, strict=True)
    }
    assert len(found) == reading_ways.BATCH
