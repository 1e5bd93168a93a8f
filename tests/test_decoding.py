"""Pictures become an array once, in bounded memory, and an interruption loses nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.params import Dataset
from pipeline.datasets import image_folder
from pipeline.files import artifacts, decoding, pictures
from pipeline.files.pictures import Pictures
from pipeline.process.errors import UserError

SIDE = 1000  # so that a chunk holds five pictures


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pictures:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(decoding, "SECONDS", 0)
    for number in range(20):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40, 30), number).convert("RGB").save(path)
    raw = image_folder.load(
        Dataset(name="image_folder", path="photos", height=SIDE, width=SIDE, channels=3)
    )
    found = pictures.on_disk(raw.train_images)
    assert found
    return found


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
    os.utime(missing)
    decoding.save(tmp_path / "images.npy", photos, "train")
    assert "train: going on after 10 of 20 pictures" in capsys.readouterr().out
    np.testing.assert_array_equal(artifacts.load_array(tmp_path / "images.npy"), photos[:])
    assert not left_behind(tmp_path)


def test_what_was_decoded_of_other_pictures_is_not_used(
    photos: Pictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "photos" / photos.rows[12].file
    missing.unlink()
    with pytest.raises(UserError, match="has changed since"):
        decoding.save(tmp_path / "images.npy", photos, "train")
    others = photos.subset(np.arange(12)[::-1])
    decoding.save(tmp_path / "images.npy", others, "train")
    assert "going on" not in capsys.readouterr().out
    np.testing.assert_array_equal(artifacts.load_array(tmp_path / "images.npy"), others[:])
