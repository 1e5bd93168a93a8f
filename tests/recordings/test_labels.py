"""Labels of windows, from a column or from a list of spans."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.datasets.reading import names_of_files
from pipeline.process.errors import UserError
from tests.recordings.conftest import GOOD, as_csv, labelled, load, rows, write


def test_labels_come_from_a_column_and_no_window_has_two(tmp_path: Path) -> None:
    label = ["sit"] * 45 + [""] * 10 + ["walk"] * 45
    data = as_csv(rows(100), "x,y,label,person", label, ["anna"] * 100)
    raw = load(write(tmp_path, one_csv=data, two_csv=data))
    assert labelled(raw) == {"sit": 6, "walk": 6}
    assert raw.series == {"rate": 10, "step": 10, "channels": ("x", "y")}
    assert set(raw.train_columns["person"]) == {"anna"}
    assert set(raw.train_columns["recording"]) == {"one.csv", "two.csv"}


def test_labels_come_from_a_list_of_spans(tmp_path: Path) -> None:
    listed = b"file,start,end,label,person\na/1.csv,0,4.5,sit,anna\na/1.csv,5.5,,walk,anna\n"
    write(tmp_path, labels_csv=listed + b"2.csv,,,walk,ben\n", a__1_csv=as_csv(rows(100)))
    raw = load(write(tmp_path, **{"2_csv": GOOD, "unlisted_csv": GOOD}))
    assert labelled(raw) == {"sit": 3, "walk": 3 + 3}
    assert set(raw.train_columns["person"]) == {"anna", "ben"}
    assert raw.left_out["unlisted.csv"] == "is not in the list"


def test_without_folders_and_columns_labels_are_the_names_of_files(tmp_path: Path) -> None:
    takes = b"\n\n".join([as_csv(rows(20))] + [as_csv(rows(20, 1)).partition(b"\n")[2]] * 2)
    raw = load(write(tmp_path, flex_csv=takes, punch_csv=takes))
    assert labelled(raw) == {"flex": 3, "punch": 3}
    assert len(set(raw.train_columns["recording"])) == 6, "each label has recordings for all parts"
    names = {"wave (2).csv": "wave", "up_12.csv": "up", "a/left-turn.2q1abc.csv": "left-turn"}
    names["01_walk.csv"] = "walk"
    assert {name: names_of_files.label_of_name(name) for name in names} == names


def test_files_that_are_only_numbered_have_no_label(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has windows of 0 labels"):
        load(write(tmp_path, recording1_csv=GOOD, recording2_csv=GOOD, recording3_csv=GOOD))


@pytest.mark.parametrize("name", ["session{}_imu_csv", "2024-0{}-01_csv"])
def test_names_that_differ_in_numbers_alone_are_no_labels(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="has windows of 0 labels"):
        load(write(tmp_path, **{name.format(number): GOOD for number in range(3)}))


def test_a_file_without_labels_is_no_class_beside_others_that_have_them(tmp_path: Path) -> None:
    data = as_csv(rows(100), "x,y,label", ["sit"] * 50 + ["walk"] * 50)
    raw = load(write(tmp_path, anna_csv=data, ben_csv=data, calibration_csv=GOOD))
    assert labelled(raw) == {"sit": 8, "walk": 8}


def test_the_columns_of_a_list_may_be_spelled_otherwise(tmp_path: Path) -> None:
    lines = ["a.csv,0,4.5,sit,train", "a.csv,5.5,10,walk,train", "b.csv,0,4,sit,test"]
    listed = "\n".join(["Filename,start_time,End,label,Split", *lines]).encode()
    raw = load(write(tmp_path, labels_csv=listed, a_csv=as_csv(rows(100)), b_csv=GOOD))
    assert labelled(raw) == {"sit": 3, "walk": 3}
    assert set(raw.test_columns["recording"]) == {"b.csv"}


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        (b"file,start\n", "has the columns file, start; expected file and label"),
        (b"file,label\nb.csv,sit\n", "row 2 of .*labels.csv names b.csv; expected a recording"),
        (b"file,label,start,end\na.csv,sit,5,4\n", "expected a label, .* and an end after the"),
        (b"file,label,start\na.csv,sit,soon\n", "has start soon; expected seconds"),
        (b"file,label\na.csv\n", "has more or fewer cells than the header"),
        (b"file,label\na.csv,sit\n", "has windows of 1 label for training; expected at least 2"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(
    listed: bytes, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        load(write(tmp_path, labels_csv=listed, a_csv=GOOD))
