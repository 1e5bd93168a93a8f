"""Folders and files that are no data, each refused in a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import download, preprocess
from pipeline.datasets.reading.file_tree import Tree
from pipeline.files import split_files
from pipeline.planning import (
    start,
    survey,
    unreadable,
)
from pipeline.planning.parts import parts
from pipeline.process.errors import UserError
from tests.planning.conftest import SHIPPED, arrays, one_folder, photo, strangers, values
from tests.settings import configure


def broken_class(folder: Path) -> Path:
    (folder / "bird").mkdir()
    (folder / "bird" / "1.jpg").write_bytes(b"not a picture")
    return folder


def sounds(folder: Path) -> Path:
    shutil.rmtree(folder)
    (folder / "yes").mkdir(parents=True)
    (folder / "yes" / "1.m4a").touch()
    return folder


def numbers(folder: Path) -> Path:
    (one_folder(folder) / "train.csv").write_text("image,angle\n0,12.5\n")
    return folder


def other(folder: Path, name: str) -> Path:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / name).write_text("x")
    return folder


def no_files(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def archives(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "photos.7z").touch()
    return folder


def damaged_shard(folder: Path) -> Path:
    (archives(folder) / "photos.7z").rename(folder / "photos.zip")
    return folder


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (archives, "holds 1 archive and nothing that can be read; unpack it, and name the folder"),
        (damaged_shard, r"photos\.zip is not a readable zip file"),
        (lambda folder: folder / "none", "does not exist; name a folder or zip file"),
        (broken_class, "class bird holds no readable picture for training .*not a picture"),
        (sounds, r"holds sounds that cannot be read \(1\); convert them, such as with"),
        (no_files, "holds no pictures, sounds or recordings.*; expected a folder for"),
        (lambda folder: folder / "cat", "has 0 class folders; expected at least 2"),
        (
            lambda folder: other(folder, "a.txt"),
            r"can be read: a\.txt holds no rows",
        ),
        (lambda folder: other(folder, "d1p01M"), "only 1 without a suffix; .*rename tables with"),
        (lambda folder: other(folder, "a.parquet"), r"\.parquet; .*; convert them to CSV or npz"),
        (lambda folder: other(folder, "a.HEIC"), r"only 1 \.heic; .*; convert them to JPEG .*heif"),
        (lambda folder: other(folder, "a.npy") / "a.npy", "an npz; store arrays together with np"),
        (lambda folder: other(folder, "a.pkl") / "a.pkl", "an npz; a pickle is never opened"),
        (lambda folder: strangers(folder, "seg_train", "seg_pred"), "call them train, validation"),
        (strangers, r"extra/ and train/ hold folders of the same names"),
        (numbers, "train.csv has the columns file, angle; expected .* give `edgeproof start` --nu"),
        (lambda folder: Path("params.yaml"), "neither a folder, a zip file, a CSV nor an npz"),
        (lambda folder: arrays(Path("a.npz"), y_train=np.zeros(30, int)), "one class; expected"),
        (lambda folder: arrays(Path("a.npz"), y_train=np.arange(30) % 2 * 2), "class 1 has no ex"),
        (lambda folder: arrays(Path("a.npz"), y_train=np.arange(29) % 3), "30 examples and y_tra"),
    ],
)
def test_what_is_not_data_is_refused_in_a_sentence_and_nothing_is_written(
    folder: Path, data: Callable[[Path], Path], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        start.start(data(folder), None, Path("params.yaml"), force=True)
    assert Path("params.yaml").read_text(encoding="utf-8") == SHIPPED


def test_a_folder_that_may_not_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions do not stop root, so the tree is one that a listing without them gives."""
    tree = Tree(folders=set(), left_out={"": "could not be read: Permission denied"})
    sentence = "My Pets could not be read: Permission denied; change its permissions"
    assert unreadable.why(folder, tree).endswith(sentence)


def test_a_class_too_small_for_every_part_is_refused(folder: Path) -> None:
    for number in range(2):
        photo(folder / "bird" / f"{number}.png", 90 + number)
    with pytest.raises(
        UserError, match=r"1 class has fewer than 3 examples \(bird 2\), one for each"
    ):
        start.start(folder, None, Path("own.yaml"), force=True)
    assert not Path("own.yaml").exists()


def test_data_of_three_examples_a_class_can_be_prepared_as_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    many = np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8)
    path = arrays(Path("many.npz"), x_train=many, y_train=np.arange(300) % 100)
    data = survey.survey(path)
    configure(values(data))
    download.main()
    preprocess.main()
    sizes = {"train": 100, "validation": 100, "test": 100}
    assert {part: len(split_files.load_split(part)[1]) for part in sizes} == sizes
    assert vars(parts(data)).items() >= sizes.items()
