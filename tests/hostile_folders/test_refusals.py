"""Folders and zip files from which nothing can be learned: each ends in one sentence."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import download, preprocess
from pipeline.process.errors import UserError
from tests.hostile_folders.conftest import Case, encoded, prepared, write_params


def one_picture_in_a_class(root: Path) -> None:
    (root / "bird").mkdir()
    (root / "bird/1.png").write_bytes(encoded(99))


def three_copies_in_a_class(root: Path) -> None:
    (root / "bird").mkdir()
    for name in "abc":
        (root / f"bird/{name}.png").write_bytes(encoded(99))


def a_test_part_without_a_class(root: Path) -> None:
    for kind in ("cat", "dog"):
        (root / "train").mkdir(exist_ok=True)
        (root / kind).rename(root / "train" / kind)
    (root / "test/cat").mkdir(parents=True)
    (root / "test/dog").mkdir(parents=True)
    (root / "test/cat/1.png").write_bytes(encoded(98))


def a_class_of_none(root: Path) -> None:
    (root / "bird").mkdir()
    (root / "bird/1.png").write_text("nothing")


def name_that_is_not_utf_8(root: Path) -> None:
    os.close(os.open(os.fsencode(root / "cat") + b"/caf\xe9.png", os.O_CREAT))


def zip_bomb(root: Path) -> None:
    shutil.rmtree(root)
    with (
        zipfile.ZipFile(root, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("cat/1.png", "w", force_zip64=True) as member,
    ):
        for _ in range(1100):
            member.write(bytes(2**20))


def damaged_zip(root: Path) -> None:
    shutil.rmtree(root)
    root.write_bytes(b"PK\x03\x04 and no more")


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            one_picture_in_a_class,
            "class 'bird' has no example in the validation part: the data have 1 example of it; "
            "expected at least 3, one for each part: add some, or leave the class out",
        ),
        (
            three_copies_in_a_class,
            "3 examples of it, and as copies and groups stay together only 1 can be "
            "apart; expected at least 3",
        ),
        (
            a_test_part_without_a_class,
            "class 'dog' has no example in the test part of your data; add one to it, or leave",
        ),
        (a_class_of_none, "class bird holds no readable picture"),
        (name_that_is_not_utf_8, "is not UTF-8"),
        (zip_bomb, "unpacks to"),
        (damaged_zip, "neither a folder nor a readable zip file"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_sentence(
    root: Path, case: Case, sentence: str
) -> None:
    case(root)
    with pytest.raises(UserError, match=sentence) as refused:
        prepared()
    assert "\n" not in str(refused.value)


def test_an_order_that_leaves_a_class_out_of_a_part_is_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"set preprocess\.order to stratified; it is first"):
        prepared(**{"preprocess.order": "first", "preprocess.validation": 1})


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(encoded(999))])
def test_a_picture_that_vanishes_or_changes_after_download_is_named(
    root: Path, change: Callable[[Path], Any]
) -> None:
    write_params()
    download.main()
    change(root / "cat/4.png")
    with pytest.raises(UserError, match=r"cat/4\.png has changed since `download` read it"):
        preprocess.main()
    (root / "cat/4.png").write_bytes(encoded(4))
    preprocess.main()
