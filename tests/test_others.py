"""Pictures of none of the classes that a user has: how they are read, split and refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import download, preprocess
from pipeline.config import params
from pipeline.datasets import Raw
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from tests.conftest import OWN_PROBLEM, ROOT
from tests.settings import configure

Prepare = Callable[..., dict[str, Array | None]]


def scene(path: Path, seed: int) -> None:
    """A picture that is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Runs download and preprocess on 2 x 20 photos; returns the others of train and test."""
    for number in range(40):
        scene(tmp_path / f"photos/{'cat' if number % 2 else 'dog'}/{number}.png", number)
    monkeypatch.chdir(tmp_path)

    def run(other: str, **values: Any) -> dict[str, Array | None]:
        own = {"dataset.name": "image_folder", "dataset.path": "photos", "dataset.channels": 3}
        size = {"dataset.height": 12, "dataset.width": 12, "preprocess.subset": None}
        configure({**OWN_PROBLEM, **own, **size, "dataset.other": other, **values})
        download.main()
        preprocess.main()
        return {split: split_files.load_others(split) for split in ("train", "test")}

    return run


def test_a_folder_of_others_is_split_and_copies_stay_together(
    prepare: Prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        for copy in ("a", "b"):
            scene(tmp_path / f"strange/deep/{number}{copy}.png", 100 + number)
    (tmp_path / "strange/broken.png").write_bytes(b"no picture")
    others = prepare("strange")
    train, test = others["train"], others["test"]
    assert train is not None and test is not None
    assert (len(train), len(test)) == (32, 8)
    assert train.shape[1:] == (12, 12, 3)
    assert not {row.tobytes() for row in train} & {row.tobytes() for row in test}
    printed = capsys.readouterr().out
    assert "left out 1, such as broken.png: it is not a picture" in printed
    assert "pictures of none of the classes: train: 32, test: 8" in printed
    assert artifacts.load_json(artifacts.REPORTS / "preprocess.json")["others"]["test"] == 8
    assert "others" not in artifacts.load_json(artifacts.REPORTS / "preprocess.json")["splits"]


def test_others_may_come_in_a_zip_file_with_a_test_part_of_their_own(
    prepare: Prepare, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "strange.zip", "w") as file:
        for number in range(6):
            scene(tmp_path / "one.png", 200 + number)
            part = "test" if number < 2 else "train"
            file.write(tmp_path / "one.png", f"{part}/things/{number}.png")
    others = prepare("strange.zip")
    assert {split: len(rows) for split, rows in others.items() if rows is not None} == {
        "train": 4,
        "test": 2,
    }


def test_without_others_nothing_is_written(prepare: Prepare) -> None:
    assert prepare(params.NONE) == {"train": None, "test": None}
    assert "others" not in artifacts.load_json(artifacts.REPORTS / "preprocess.json")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x_test": np.zeros((3, 12, 12, 3), np.uint8)}, "has no array x_train"),
        ({"x_train": np.zeros((3, 9, 9, 3), np.uint8)}, r"expected uint8 of shape \('N', 12, 12"),
        ({"x_train": np.zeros((3, 12, 12, 3))}, "x_train is float64"),
    ],
)
def test_arrays_that_cannot_be_inputs_are_refused(
    prepare: Prepare, arrays: dict[str, Array], sentence: str
) -> None:
    np.savez("strange.npz", allow_pickle=False, **arrays)
    with pytest.raises(UserError, match=sentence):
        prepare("strange.npz")


def test_others_without_a_readable_picture_are_refused(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="holds too few readable pictures"):
        prepare("strange")


def test_a_file_that_holds_no_pictures_is_named_by_its_key(prepare: Prepare) -> None:
    Path("strange.zip").write_bytes(b"no zip file")
    with pytest.raises(UserError, match=r"^dataset\.other strange\.zip is neither a folder nor"):
        prepare("strange.zip")


def test_others_are_refused_for_data_that_are_not_images_of_one_class(tmp_path: Path) -> None:
    series = np.zeros((4, 8, 2), np.float32)
    labels = np.arange(4) % 2
    raw = Raw(series, labels, series[:0], labels[:0], ["a", "b"], kind="series")
    dataset = params.load(ROOT / "params.yaml").dataset.model_copy(update={"other": str(tmp_path)})
    with pytest.raises(UserError, match=f"expected {params.NONE} with other data"):
        download.save_others(dataset, raw)
