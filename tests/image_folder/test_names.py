"""Links, odd names and zip files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import Raw
from pipeline.datasets.reading import file_tree
from pipeline.files.pictures import picture_file, picture_table
from pipeline.files.pictures.picture_table import Table
from pipeline.process.errors import UserError
from tests.image_folder.conftest import load, picture, rows


def files(raw: Raw) -> list[str]:
    return sorted(row.file for row in rows(raw))


def test_links_are_followed_once_and_loops_are_refused(two_classes: Path, tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "kittens" / "k.png")
    (two_classes / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (two_classes / "cat" / "round").symlink_to(two_classes / "cat")
    (two_classes / "dog" / "up").symlink_to(two_classes)
    (two_classes / "dog" / "again").symlink_to(tmp_path / "elsewhere" / "kittens")
    (two_classes / "dog" / "self.png").symlink_to(two_classes / "dog" / "self.png")
    (two_classes / "dog" / "gone.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(two_classes / "dog" / "pipe.png")
    raw = load(two_classes)
    assert len(raw.train_images) == 7
    assert "cat/more/kittens/k.png" in files(raw)
    twice = "leads to a folder that has been read already"
    assert raw.left_out == {
        "cat/round/": twice,
        "dog/up/": twice,
        "dog/again/": twice,
        "dog/self.png": "is not a file",
        "dog/gone.png": "is not a file",
        "dog/pipe.png": "is not a file",
    }


def test_class_names_are_compared_in_one_unicode_form(tmp_path: Path) -> None:
    for part, name in (("train", "K\u00e4se"), ("test", "Ka\u0308se")):
        picture(tmp_path / part / name / "1.png")
        picture(tmp_path / part / "Wurst" / "1.png")
    raw = load(tmp_path)
    assert raw.class_names == ["K\u00e4se", "Wurst"]
    assert raw.test_labels.tolist() == [0, 1]


def test_a_name_that_is_not_utf_8_is_named(two_classes: Path) -> None:
    name = os.fsencode(two_classes / "cat") + b"/caf\xe9.png"
    os.close(os.open(name, os.O_CREAT))
    with pytest.raises(UserError, match=r"cat/caf\\xe9\.png is not UTF-8, so DVC cannot track it"):
        load(two_classes)


@pytest.mark.parametrize("name", ["new\nline.png", "a,b\"c'.png", "%s{}.png", " .png", "🐈.png"])
def test_files_with_odd_names_are_read(two_classes: Path, name: str, tmp_path: Path) -> None:
    picture(two_classes / "cat" / name)
    raw = load(two_classes)
    assert f"cat/{name}" in files(raw)
    picture_table.save(tmp_path / "table.csv", Table.of(rows(raw), len(rows(raw))))
    assert list(picture_table.load(tmp_path / "table.csv")) == rows(raw)


def zipped(root: Path, top: str = "") -> Path:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, top + file.relative_to(root).as_posix())
    return path


@pytest.mark.parametrize("top", ["", "photos/", "a/b/"])
def test_a_zip_file_is_read_in_place_like_the_folder(two_classes: Path, top: str) -> None:
    folder, archive = load(two_classes), load(zipped(two_classes, top))
    np.testing.assert_array_equal(folder.train_images[:], archive.train_images[:])
    np.testing.assert_array_equal(folder.train_labels, archive.train_labels)
    assert files(archive) == [top + name for name in files(folder)]


def test_a_hostile_zip_file_harms_nothing(two_classes: Path) -> None:
    path = zipped(two_classes)
    sound = (two_classes / "cat" / "0.png").read_bytes()
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name in ("../cat/out.png", "/cat/root.png", "cat/../../up.png", "__MACOSX/cat/._0.png"):
            archive.writestr(name, sound)
        link = zipfile.ZipInfo("cat/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("cat/large.png", bytes(picture_file.LARGEST_BYTES + 1))
    raw = load(path)
    assert len(raw.train_images) == 6
    assert len(raw.left_out) == 6
    assert raw.left_out["cat/large.png"] == "has 268,435,457 bytes; expected at most 268,435,456"
    assert raw.left_out["cat/link.png"] == "is a link"


@pytest.mark.parametrize("at_the_root", [[], ["labels.csv"]])
def test_a_zip_file_with_backslashes_is_refused_with_its_cure(
    two_classes: Path, tmp_path: Path, at_the_root: list[str]
) -> None:
    """As Compress-Archive of Windows 10 writes it."""
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for path in sorted(two_classes.rglob("*.png")):
            file.writestr("\\".join(path.relative_to(tmp_path).parts), path.read_bytes())
        for name in at_the_root:
            file.writestr(name, "file,label\n")
    with pytest.raises(UserError, match=r"backslashes in its paths, .* unpack it on Windows, or"):
        load(tmp_path / "photos.zip")


def test_a_zip_bomb_is_refused(two_classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_tree, "SMALL_BYTES", 10**6)
    path = zipped(two_classes)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/bomb.png", bytes(10**7))
    with pytest.raises(UserError, match="more than 100 times its own; expected pictures"):
        load(path)


@pytest.mark.parametrize(
    ("other", "note"),
    [
        ("Cat", "note: the classes 'Cat' and 'cat' are two; write them alike if they are one"),
        ("cat ", "note: the classes 'cat ' and 'cat' are taken for one"),
        ("ca t", "note: the classes 'ca t' and 'cat' are two"),
        ("bird", ""),
    ],
)
def test_class_folders_that_differ_only_in_case_or_blanks_are_named(
    two_classes: Path, capsys: pytest.CaptureFixture[str], other: str, note: str
) -> None:
    picture(two_classes / other / "other.png")
    load(two_classes)
    shown = capsys.readouterr().out
    assert note in shown
    assert ("note: the classes" in shown) == bool(note)


def test_parts_inside_of_each_class_are_named(
    two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat", "dog"):
        assert "parts inside" not in capsys.readouterr().out
        for part in ("train", "test"):
            picture(two_classes / name / part / "1.png")
        load(two_classes)
    assert "note: cat/test, cat/train: parts inside of a class" in capsys.readouterr().out


def test_a_class_that_is_made_of_folders_is_named(
    two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as the root of a repository, with the folders of the classes in one of its folders."""
    for number in range(3):
        picture(two_classes / "data" / f"red {number}" / "new" / "1.png")
    load(two_classes)
    where = f"name {two_classes / 'data'}, or write a list"
    sentence = "the pictures of data lie in 3 folders, such as red 0 and red 1, and are one class"
    assert f"note: {sentence}; if the classes are in there, {where}" in capsys.readouterr().out
    load(zipped(two_classes))
    assert "if the classes are in there, write a list" in capsys.readouterr().out
    picture(two_classes / "data" / "1.png")
    load(two_classes)
    assert "lie in" not in capsys.readouterr().out


def test_folders_of_people_in_each_class_are_not_taken_for_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(("smile/anna", "smile/ben", "frown/anna", "frown/ben")):
        for row in range(3):
            picture(tmp_path / name / f"{row}.png", colour=(40 * number, row, 0))
    load(tmp_path)
    shown = capsys.readouterr().out
    assert "are one class" not in shown
    note = "note: all classes, such as frown and smile, hold the folders anna and ben; if those are"
    assert note in shown, "with cameras outside and classes inside it is the other way round"
    picture(tmp_path / "frown" / "1.png")
    load(tmp_path)
    assert "hold the folders" not in capsys.readouterr().out


def test_parts_with_classes_inside_of_each_class_are_not_called_its_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("photos", "raw"):
        for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
            picture(tmp_path / "pets" / folder / name / "1.png")
            picture(tmp_path / "pets" / "photos" / name / "2.png")
    load(tmp_path / "pets")
    shown = capsys.readouterr().out
    assert "parts inside" not in shown
    assert f"name {tmp_path / 'pets/photos'}" in shown
