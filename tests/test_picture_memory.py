"""Memory for what is known of photos: at most some hundred bytes for each of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.params import Dataset
from pipeline.datasets import image_folder
from pipeline.files import groups, pictures
from pipeline.files.pictures import picture_table
from pipeline.files.pictures.picture_table import Picture, Table

FEW, MANY = 3000, 6000


def bytes_a_picture(work: Callable[[int], object]) -> float:
    """How much more memory the work takes at its peak for each picture more."""
    work(FEW)  # imports, and what is kept for the next time
    peaks = []
    for count in (FEW, MANY):
        tracemalloc.start()
        kept = work(count)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        del kept
    return (peaks[1] - peaks[0]) / (MANY - FEW)


@pytest.mark.slow
def test_a_folder_of_photos_takes_few_bytes_a_photo(tmp_path: Path) -> None:
    """205 bytes; with an object for each photo it was 1,565."""
    for count in (FEW, MANY):
        for label in "ab":
            (tmp_path / str(count) / label).mkdir(parents=True)
    for number in range(MANY):
        name = f"{'ab'[number % 2]}/{number:06}.png"
        colour = (number % 251, number // 251, number % 2)
        Image.new("RGB", (2, 2), colour).save(tmp_path / str(MANY) / name)
        if number < FEW:
            (tmp_path / str(FEW) / name).hardlink_to(tmp_path / str(MANY) / name)

    def load(count: int) -> object:
        path = str(tmp_path / str(count))
        return image_folder.load(Dataset.model_validate({"name": "image_folder", "path": path}))

    assert bytes_a_picture(load) < 400


def test_the_search_for_copies_takes_few_bytes_a_photo(tmp_path: Path) -> None:
    """217 bytes; with an object for each photo it was 1,432."""
    rng = np.random.default_rng(0)
    for count in (FEW, MANY):
        hashes = rng.integers(0, 256, (count, 32), np.uint8)
        rows = [
            Picture(f"a/{n:06}.jpg", f"{n:064x}", row.tobytes().hex(), None, {"label": "a"})
            for n, row in enumerate(hashes)
        ]
        picture_table.save(tmp_path / f"{count}.csv", Table.of(rows, count))

    def search(count: int) -> object:
        picture_table._load.cache_clear()
        table = picture_table.load(tmp_path / f"{count}.csv")
        pictures.Pictures(tmp_path, table, (4, 4, 3)).sha256()
        return groups.together(table, None)

    assert bytes_a_picture(search) < 400


def test_a_row_number_of_numpy_gives_a_picture_too() -> None:
    rows = [Picture(name, "00" * 32, "ff" * 32, None, {"label": name}) for name in "ab"]
    assert Table.of(rows, 2)[np.argmax([0, 1])] == rows[1]
