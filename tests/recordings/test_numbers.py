"""The number of a window: the mean of a column, or what a list says of its seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import Raw
from pipeline.process.errors import UserError
from tests.recordings.conftest import GOOD, as_csv, as_npz, load, rows, write

SPEED = np.arange(100, dtype=np.float32)
MEANS = [float(SPEED[start : start + 20].mean()) for start in range(0, 90, 10)]  # 9.5, 19.5, ...


def numbers_of(raw: Raw, file: str) -> list[float]:
    """Those of a file, in its order of time."""
    files = np.array(raw.train_columns["file"])
    own: list[float] = raw.train_labels[files == file].tolist()
    return sorted(own)


def with_speed(*speed: str) -> bytes:
    return as_csv(rows(len(speed)), "x,y,speed", list(speed))


def test_a_window_has_the_mean_of_the_column(tmp_path: Path) -> None:
    data = with_speed(*map(str, SPEED))
    raw = load(write(tmp_path, a_csv=data, walk__b_csv=data), number="speed")
    assert (raw.target, raw.class_names, raw.kind) == ("number", ["speed"], "series")
    assert raw.series is not None and raw.series["channels"] == ("x", "y")
    assert raw.train_images.shape == (18, 20, 2)
    assert numbers_of(raw, "a.csv") == numbers_of(raw, "walk/b.csv") == MEANS


def test_rows_without_a_number_are_in_no_window(tmp_path: Path) -> None:
    gap = with_speed(*["1.5"] * 45, *[""] * 10, *["2.5"] * 45)
    raw = load(write(tmp_path, a_csv=gap), number="speed")
    assert numbers_of(raw, "a.csv") == [1.5] * 3 + [2.5] * 3


def test_each_recording_of_a_file_has_its_own_numbers(tmp_path: Path) -> None:
    people = ["anna"] * 40 + ["ben"] * 60
    data = as_csv(rows(100), "x,y,speed,person", list(map(str, SPEED)), people)
    raw = load(write(tmp_path, a_csv=data), number="speed", columns=["x", "y"])
    ben = [number > 40 for number in raw.train_labels]
    assert [name == "ben" for name in raw.train_columns["person"]] == ben
    assert sorted(raw.train_labels.tolist()) == [9.5, 19.5, 29.5, 49.5, 59.5, 69.5, 79.5, 89.5]


def test_arrays_have_a_number_for_each_row_or_recording(tmp_path: Path) -> None:
    signal, lengths = rows(100), np.array([40, 60])
    each = as_npz(signal=signal, length=lengths, speed=SPEED)
    whole = as_npz(signal=signal, length=lengths, speed=np.array([3.0, 4.0]))
    raw = load(write(tmp_path, each_npz=each, whole_npz=whole), number="speed")
    assert numbers_of(raw, "each.npz") == [9.5, 19.5, 29.5, 49.5, 59.5, 69.5, 79.5, 89.5]
    assert numbers_of(raw, "whole.npz") == [3.0] * 3 + [4.0] * 5


def test_a_list_says_the_number_of_some_seconds(tmp_path: Path) -> None:
    listed = b"file,start,end,weight\na.csv,0,4.5,70.5\na.csv,5.5,,80\nb.csv,,,62\n"
    data = as_csv(rows(100))
    raw = load(write(tmp_path, labels_csv=listed, a_csv=data, b_csv=data), number="weight")
    assert numbers_of(raw, "a.csv") == [70.5] * 3 + [80] * 3
    assert set(numbers_of(raw, "b.csv")) == {62}


def test_a_recording_that_is_shorter_has_the_mean_of_its_rows(tmp_path: Path) -> None:
    short = with_speed(*map(str, range(10)))
    raw = load(write(tmp_path, a_csv=short, b_csv=short), number="speed")
    assert raw.train_labels.tolist() == [4.5, 4.5]


def test_files_without_the_number_are_left_out(tmp_path: Path) -> None:
    data = with_speed(*map(str, SPEED))
    fast = with_speed("fast", *["1"] * 40)
    raw = load(write(tmp_path, a_csv=data, b_csv=fast, c_csv=GOOD), number="speed")
    assert raw.left_out == {
        "b.csv": "has 'fast' as speed; expected a number, or nothing",
        "c.csv": "has no column speed, which dataset.number names",
    }
    with pytest.raises(UserError, match="has no window for training in which each row has"):
        load(write(tmp_path / "other", c_csv=GOOD), number="speed")
