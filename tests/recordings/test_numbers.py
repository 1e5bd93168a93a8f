"""The number of a window: the mean of a column, or what a list says of its seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import Raw
from pipeline.planning import survey
from pipeline.planning.data import Given
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


def test_a_list_without_the_number_describes_the_files(tmp_path: Path) -> None:
    listed = b"file,label,person,split\na.csv,walk,anna,train\nb.csv,run,ben,test\n"
    data = with_speed(*map(str, SPEED))
    raw = load(write(tmp_path, labels_csv=listed, a_csv=data, b_csv=data), number="speed")
    assert numbers_of(raw, "a.csv") == sorted(raw.test_labels.tolist()) == MEANS
    assert set(raw.train_columns["person"]) == {"anna"}


def test_numbers_of_a_list_may_have_decimal_commas_and_wrong_ones_are_named(
    tmp_path: Path,
) -> None:
    listed = b"file;weight\na.csv;70,5\nb.csv;62,25\n"
    raw = load(write(tmp_path, labels_csv=listed, a_csv=GOOD, b_csv=GOOD), number="weight")
    assert {*raw.train_labels.tolist()} == {70.5, 62.25}
    with pytest.raises(UserError, match=r"row 2 of .*labels\.csv has heavy as weight; expected a"):
        load(write(tmp_path, labels_csv=b"file,weight\na.csv,heavy\nb.csv,1"), number="weight")


@pytest.mark.parametrize(("column", "number"), [("Speed", "speed"), ("Label", "Label")])
def test_a_column_may_be_spelled_otherwise(tmp_path: Path, column: str, number: str) -> None:
    data = as_csv(rows(100), f"x,y,{column}", list(map(str, SPEED)))
    raw = load(write(tmp_path, a_csv=data, b_csv=data), number=number)
    assert numbers_of(raw, "a.csv") == MEANS
    assert raw.series is not None and raw.series["channels"] == ("x", "y")


def test_a_channel_is_not_predicted(tmp_path: Path) -> None:
    write(tmp_path, a_csv=with_speed(*map(str, SPEED)))
    with pytest.raises(UserError, match=r"dataset\.columns names speed, which dataset\.number"):
        load(tmp_path, number="speed", columns=["x", "speed"])


def test_a_number_that_float32_cannot_hold_is_refused(tmp_path: Path) -> None:
    data, large = with_speed(*map(str, SPEED)), with_speed("1e39", *["1"] * 40)
    raw = load(write(tmp_path, a_csv=data, b_csv=large), number="speed")
    assert "has '1e39' as speed" in raw.left_out["b.csv"]


def test_start_takes_the_number_of_a_list(tmp_path: Path) -> None:
    listed = b"file,weight\n" + b"".join(b"%d.csv,%d\n" % (n, n) for n in range(4))
    times = [f"{row / 10:.1f}" for row in range(100)]
    data = as_csv(rows(100), "x,y,time", times)
    write(tmp_path, labels_csv=listed, **{f"{n}_csv": data for n in range(4)})
    found = survey.survey(tmp_path, Given(number="weight"))
    assert (found.target, found.channels) == ("number", ("x", "y"))


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
        "c.csv": "has no column speed beside its channels, which dataset.number names",
    }
    with pytest.raises(UserError, match="has no window for training in which each row has"):
        load(write(tmp_path / "other", c_csv=GOOD), number="speed")
