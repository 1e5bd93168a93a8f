"""Pictures become an array once, in bounded memory, and an interruption loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.photos import BEFORE_TRAINING, project
from pipeline.config.params import Dataset
from pipeline.datasets import image_folder
from pipeline.files import artifacts, decoding, pictures
from pipeline.files.pictures import Pictures
from pipeline.process import progress
from pipeline.process.errors import UserError
from tests.conftest import ROOT

SIDE = 1000  # so that a chunk holds five pictures


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pictures:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(decoding, "SECONDS", 0)
    for number in range(20):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40, 30), number).convert("RGB").save(path)
    size = {"height": SIDE, "width": SIDE, "channels": 3}
    values = {"name": "image_folder", "path": "photos", **size}
    raw = image_folder.load(Dataset.model_validate(values))
    photos_on_disk = pictures.on_disk(raw.train_images)
    assert photos_on_disk
    return photos_on_disk


def left_behind(folder: Path) -> list[Path]:
    return [path for path in (folder / ".state").rglob("*") if path.is_file()]


def test_pictures_are_written_as_they_are_read(photos: Pictures, tmp_path: Path) -> None:
    decoding.save(tmp_path / "images.npy", photos, "train")
    written = artifacts.load_array(tmp_path / "images.npy")
    np.testing.assert_array_equal(written, photos[:])
    assert not left_behind(tmp_path)


def test_an_interrupted_decoding_goes_on_where_it_stopped(
    photos: Pictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "photos" / photos.rows[12].file
    missing.rename(tmp_path / "aside")
    with pytest.raises(UserError, match="has changed since"):
        decoding.save(tmp_path / "images.npy", photos, "train")
    assert not (tmp_path / "images.npy").exists()
    (tmp_path / "aside").rename(missing)
    with (tmp_path / ".state/pictures/train/images.npy").open("ab") as file:
        file.write(b"half a row, as a kill in the middle of a chunk leaves it")
    decoding.save(tmp_path / "images.npy", photos, "train")
    assert "train: going on after 10 of 20 pictures" in capsys.readouterr().out
    np.testing.assert_array_equal(artifacts.load_array(tmp_path / "images.npy"), photos[:])
    assert not left_behind(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        lambda photos: photos.subset(np.arange(12)[::-1]),
        lambda photos: Pictures(photos.root, photos.rows[:12], photos.image_shape, "letterbox"),
    ],
    ids=["other pictures", "another framing"],
)
def test_what_was_decoded_of_something_else_is_not_used(
    photos: Pictures,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: Callable[[Pictures], Pictures],
) -> None:
    missing = tmp_path / "photos" / photos.rows[12].file
    missing.unlink()
    with pytest.raises(UserError, match="has changed since"):
        decoding.save(tmp_path / "images.npy", photos, "train")
    others = changed(photos)
    decoding.save(tmp_path / "images.npy", others, "train")
    assert "going on" not in capsys.readouterr().out
    written = artifacts.load_array(tmp_path / "images.npy")
    np.testing.assert_array_equal(written, others[:])
    assert (written != photos.subset(np.arange(12))[:]).any()


PEAK = """
import runpy, sys
from tests.peak_memory import PeakMemory
peak = PeakMemory()
runpy.run_module(f"pipeline.{sys.argv[1]}", run_name="__main__")
print(peak.bytes)
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("store", ["pixels", "compressed"])
def test_the_stages_before_training_take_hardly_more_memory_for_four_times_as_many_photos(
    tmp_path: Path, store: str
) -> None:
    """2,500 and 10,000 photos of 112 x 112 in colour, which are 94 and 376 MB as arrays.

    Every split of the fewer is larger than a chunk, but not than the 1,000 examples of validation
    that are compared with the training set.
    """
    project(tmp_path, 112, store)
    peaks: dict[str, list[int]] = {stage: [] for stage in BEFORE_TRAINING}
    (tmp_path / "photos").mkdir()
    for label in "ab":
        (tmp_path / "photos" / label).mkdir()
    for first, last in ((0, 2500), (2500, 10_000)):
        for number in range(first, last):
            path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
            Image.new("RGB", (32, 32), (number % 251, number % 241, number % 2)).save(path)
        for stage in BEFORE_TRAINING:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                [sys.executable, "-c", PEAK, stage],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            peaks[stage].append(int(done.stdout.splitlines()[-1]))
    for stage, (few, many) in peaks.items():
        assert many < few + 150 * 2**20, f"{stage}: {few:,} and {many:,} bytes"
        assert many < 440 * 2**20, f"{stage}: {many:,} bytes"


def test_the_first_of_many_may_take_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SOON", 0)
    monkeypatch.setattr(progress, "WORTH_SAYING", 0)
    assert list(progress.followed(range(3), 3, "reading")) == [0, 1, 2]
    assert capsys.readouterr().out == "reading: about 0 s left\n"
