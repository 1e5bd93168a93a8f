"""The parts and classes of a folder, and what checks say of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import check
from pipeline.config import mnist_problem, params
from pipeline.process.errors import UserError
from tests.conftest import OWN_PROBLEM, ROOT
from tests.image_folder.conftest import load, picture, rows
from tests.settings import configure


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "valid", "Testing"),
        ("training_set", "Validation", "test_set"),
        ("TRAIN", "validation-set", "TEST"),
        ("train_data", "dev", "Holdout"),
        ("1_train", "2_val", "3_test"),
        ("training_images", "val_images", "evaluation"),
        ("train2017", "val2017", "test2017"),
    ],
)
def test_the_parts_of_the_data_are_known_in_their_usual_spellings(
    tmp_path: Path, train: str, validation: str, test: str
) -> None:
    for part, count in ((train, 4), (validation, 2), (test, 1)):
        for name in ("cat", "dog"):
            for number in range(count):
                picture(tmp_path / part / name / f"{number}.png")
    raw = load(tmp_path)
    assert raw.class_names == ["cat", "dog"]
    assert raw.train_labels.tolist() == [0, 1] * 6
    assert raw.test_labels.tolist() == [0, 1]
    assert raw.validation is not None
    assert {rows(raw)[row].file.split("/")[0] for row in raw.validation} == {validation}
    assert len(raw.validation) == 4


def test_classes_may_be_called_as_a_part_with_a_number(tmp_path: Path) -> None:
    for name in ("test1", "test2", "other"):
        picture(tmp_path / name / "1.png")
    assert load(tmp_path).class_names == ["other", "test1", "test2"]


def test_parts_within_folders_of_their_own_name_are_no_classes(tmp_path: Path) -> None:
    for part in ("seg_train/seg_train", "seg_test/seg_test"):
        for name in ("sea", "ice"):
            picture(tmp_path / part / name / "1.png")
    with pytest.raises(UserError, match="seg_test/ and seg_train/ hold folders of the same names"):
        load(tmp_path)


def test_two_spellings_of_one_part_are_refused(tmp_path: Path) -> None:
    for part in ("train", "Training"):
        picture(tmp_path / part / "cat" / "1.png")
    with pytest.raises(UserError, match="Training/ and train/ are both the train part"):
        load(tmp_path)


def test_a_part_without_classes_is_left_out(two_classes: Path, tmp_path: Path) -> None:
    """As in competitions, whose test pictures have no labels."""
    shutil.copytree(two_classes, tmp_path / "parts" / "train")
    picture(tmp_path / "parts" / "test" / "1.png")
    raw = load(tmp_path / "parts")
    assert len(raw.test_labels) == 0
    assert raw.left_out == {"test/1.png": "lies in no folder of a class"}


def test_a_class_of_the_test_part_that_training_lacks_is_refused(
    two_classes: Path, tmp_path: Path
) -> None:
    shutil.copytree(two_classes, tmp_path / "parts" / "train")
    picture(tmp_path / "parts" / "test" / "cow" / "1.png")
    with pytest.raises(UserError, match=r"test/cow is not a class .* expected cat, dog"):
        load(tmp_path / "parts")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "car", "test", "train"):
        picture(tmp_path / name / "one.png")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    assert load(tmp_path).class_names == ["bus", "car", "test", "train"]


def test_check_names_a_file_whose_name_is_not_utf_8(
    two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC would only say `surrogates not allowed`."""
    os.close(os.open(os.fsencode(two_classes / "dog") + b"/caf\xe9.png", os.O_CREAT))
    values = {"dataset.name": "image_folder", "dataset.path": "photos", **OWN_PROBLEM}
    monkeypatch.chdir(tmp_path)
    configure(values)
    Path("pipeline").mkdir()
    Path("pipeline/none").touch()
    with pytest.raises(UserError, match=r"photos/dog/caf\\xe9\.png, whose name is not UTF-8"):
        check.main()


@pytest.fixture
def checked(
    two_classes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs `check` on the two classes with other values; returns what it printed."""

    def run(**values: object) -> str:
        own = {"dataset.name": "image_folder", "dataset.path": str(two_classes)}
        monkeypatch.chdir(two_classes.parent)
        configure({**own, **values})
        Path("pipeline").mkdir(exist_ok=True)
        Path("pipeline/none").touch()
        check.main()
        return capsys.readouterr().out

    return run


def test_check_refuses_texts_of_mnist_for_data_of_ones_own(checked: Callable[..., str]) -> None:
    shipped = params.load(ROOT / "params.yaml").problem
    every = "problem.statement, problem.use, problem.limits"
    assert ", ".join(mnist_problem.keys(shipped)) == every
    with pytest.raises(UserError, match=f"{every} still describe .*edgeproof start"):
        checked()
    statement = {"problem.statement": OWN_PROBLEM["problem.statement"]}
    with pytest.raises(UserError, match=r"^problem.use, problem.limits still describe"):
        checked(**statement)
    with pytest.raises(UserError, match=f"{every} still describe .*edgeproof start"):
        checked(**{"dataset.name": "series_folder"})
    assert checked(**OWN_PROBLEM) == ""


def test_check_warns_of_them_for_an_experiment_with_data_of_the_project(
    checked: Callable[..., str],
) -> None:
    assert "warning: problem.statement" in checked(**{"dataset.name": "fashion_mnist"})
    assert checked(**{"dataset.name": "mnist"}) == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        ("data", "neither a folder nor a readable zip file"),
        ("data/only/one.png", "1 class folder; expected at least 2: make a folder for each"),
        ("data/train/one.png", "train has 0 class folders; .* or write a CSV with the columns"),
        ("data/val/cat/one.png", "has val/, but no folder train/; expected one"),
    ],
)
def test_what_holds_no_classes_is_refused(tmp_path: Path, content: str | None, reason: str) -> None:
    if content == "data":
        (tmp_path / "data").write_text("no zip file")
    elif content:
        picture(tmp_path / content)
    with pytest.raises(UserError, match=reason):
        load(tmp_path / "data")


def test_a_folder_of_annotations_is_no_class(two_classes: Path) -> None:
    (two_classes / "Annotations").mkdir()
    (two_classes / "Annotations" / "1.xml").write_text("<annotation/>")
    sentence = "holds 1 file such as Annotations/1.xml, and no picture, .* boxes .*.xml is not read"
    with pytest.raises(UserError, match=sentence):
        load(two_classes)


def test_spaces_around_the_name_of_a_folder_are_no_part_of_the_class(two_classes: Path) -> None:
    picture(two_classes / "cat " / "other.png")
    assert load(two_classes).class_names == ["cat", "dog"]


def test_a_class_without_a_readable_picture_is_refused(two_classes: Path) -> None:
    (two_classes / "empty").mkdir()
    with pytest.raises(UserError, match="class empty holds no readable picture"):
        load(two_classes)


def test_the_first_rows_hold_all_classes_in_proportion(tmp_path: Path) -> None:
    """So that `preprocess.subset` is a fair sample of folders, which are read one after another."""
    for name, count in (("a", 30), ("b", 20), ("c", 10)):
        for number in range(count):
            picture(tmp_path / name / f"{number:02}.png")
    labels = load(tmp_path).train_labels
    assert np.bincount(labels[:30]).tolist() == [15, 10, 5]
