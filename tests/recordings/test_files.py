"""Files of recordings: what is read, and what is left out with a reason."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.reading import recording_files
from pipeline.datasets.reading.file_tree import FileError
from pipeline.planning import survey
from pipeline.planning.data import Given
from pipeline.process.errors import UserError
from tests.recordings.conftest import (
    BROKEN,
    GOOD,
    LENGTH,
    RATE,
    as_csv,
    as_npz,
    labelled,
    load,
    read,
    rows,
    write,
)


@pytest.mark.parametrize("data", [b"x,y\ng,g\n1,2\n", b"x y\ng g\n1 2\n", b"At 10 Hz\nx,y\n1,2\n"])
def test_a_table_that_does_not_begin_with_names_and_numbers_says_how(data: bytes) -> None:
    with pytest.raises(FileError, match="below its first line; expected names there, between"):
        read(data)


@pytest.mark.parametrize("data", [b"1,2,3\n.5,2,3\n4,5,6", b",0,1,2\n7,.5,2,3\n8,4,5,6"])
def test_columns_may_be_counted_as_pandas_does(data: bytes) -> None:
    np.testing.assert_array_equal(read(data)[0][:2], [[0.5, 2, 3], [4, 5, 6]])


def test_a_table_without_names_is_refused_and_not_read_as_one_with_names(tmp_path: Path) -> None:
    data = b"33,Jogging,49105962326000,-0.69,12.68,0.50;\n33,Jogging,49106062271000,5.0,11.2,0.9;\n"
    with pytest.raises(FileError, match="in its first line; expected the names of the columns"):
        read(data)
    path = write(tmp_path, raw_csv=data)
    with pytest.raises(UserError, match=r"no recording that can be read: raw\.csv has '33, Jog"):
        survey.survey(path, Given(rate=20))


@pytest.mark.parametrize(
    ("head", "channels"),
    [
        ("time,400.5,401.5", None),
        ("label,400.5,401.5", None),
        ("class,400.5,401.5", None),
        ("note,400.5,401.5", ("400.5", "401.5")),
    ],
)
def test_channels_may_be_called_by_numbers(head: str, channels: tuple[str, ...] | None) -> None:
    lines = [f"{row / RATE if 'time' in head else 'a'},{row},1" for row in range(LENGTH)]
    data = "\n".join([head, *lines]).encode()
    recordings = list(recording_files.recordings(io.BytesIO(data), "a.csv", channels))
    assert [recording.channels for recording in recordings] == [("400.5", "401.5")]


def test_a_date_of_another_form_is_refused_with_the_form_that_is_read() -> None:
    with pytest.raises(FileError, match="expected seconds, or a date such as 2024-03-01T09"):
        read(b"time,x\n03/01/2024 10:00:00,1\n03/01/2024 10:00:01,2\n")


def test_an_uneven_clock_and_a_label_by_another_name_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uneven = np.column_stack([np.cumsum(np.tile([0.1, 0.1, 0.2], 20)), rows(60)])
    data = as_csv(uneven, "time,x,y,Klasse", ["auf"] * 30 + ["ab"] * 30)
    with pytest.raises(UserError, match="the others Klasse; if a column holds the label, call it"):
        load(write(tmp_path, a_csv=data, b_csv=data))
    output = capsys.readouterr().out
    assert "40 gaps in time, of more than 1.5 intervals or backwards" in output
    assert "if the clock is only uneven, set dataset.gaps to ignore" in output


def test_channels_are_found_by_name_in_any_order_and_format() -> None:
    values = rows(20)
    more = [["sit"] * 20, ["7"] * 20]
    expected = read(as_csv(values), channels=("x", "y"))
    swapped = np.column_stack([values[:, 1], values[:, 0]])
    for data in (
        as_csv(swapped, "y,x,label,person", *more),
        as_csv(swapped, '"y"; x'.replace(";", ",")).replace(b",", b";"),
        b"\xef\xbb\xbf" + as_csv(values).replace(b"\n", b"\r\n") + b"\r\n\r\n",
        as_csv(values).partition(b"\n")[2],
    ):
        assert np.array_equal(read(data, channels=("x", "y")), expected)


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=BROKEN)
def test_broken_recordings_are_left_out_and_counted_with_a_reason(
    data: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, a__good_csv=GOOD, b__good_csv=GOOD, b__zbroken_csv=data)
    raw = load(tmp_path)
    assert raw.unreadable == ["b/zbroken.csv"]
    assert len(raw.train_labels) == 6
    assert "warning: 1 of 3 recordings could not be read: b/zbroken.csv" in capsys.readouterr().out
    assert reason in raw.left_out["b/zbroken.csv"]


BROKEN_NPZ = {
    "text": (b"text", "is not an npz file"),
    "objects": (as_npz(signal=np.array([None])), "cannot be read: Object arrays"),
    "no signal": (as_npz(x=rows(9)), "has no array signal (T, C) of numbers"),
    "a rate of 0": (as_npz(signal=rows(40), rate=np.array(0)), "has a rate of 0 Hz; expected 10"),
    "lengths": (as_npz(signal=rows(40), length=np.array([9, 9])), "40 rows, and its lengths add"),
    "no rows": (as_npz(signal=rows(0)), "holds no rows"),
}


@pytest.mark.parametrize(("data", "reason"), BROKEN_NPZ.values(), ids=BROKEN_NPZ)
def test_a_broken_npz_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(FileError, match=re.escape(reason)):
        read(data, "a.npz")


def test_missing_values_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = GOOD + b"\nnan,1\n,\n1,1e60\n" + GOOD.partition(b"\n")[2]
    write(tmp_path, a__one_csv=data, b__one_csv=GOOD)
    assert len(load(tmp_path).train_labels) == 9
    assert "3 rows without a value: such a row is in no window" in capsys.readouterr().out


def test_recordings_without_a_window_say_what_is_missing(tmp_path: Path) -> None:
    """As of two sensors at different rates, whose rows were joined by their times."""
    joined = "\n".join(["x,y", *(f"{row},{row if row % 2 else ''}" for row in range(40))]).encode()
    cure = r"; {} without a window lack a value, most in the column y: fill them in, such as"
    write(tmp_path / "both", a__one_csv=joined, b__one_csv=joined)
    with pytest.raises(UserError, match=cure.format("40 rows of 2 recordings")):
        load(tmp_path / "both")
    with pytest.raises(UserError, match="most in the column y: fill them in"):
        load(tmp_path / "both", number="x")
    write(tmp_path / "one", a__one_csv=joined, b__one_csv=GOOD)
    with pytest.raises(UserError, match=cure.format("20 rows of 1 recording")):
        load(tmp_path / "one")
    gaps = "\n".join(["x,y", *(f"{'' if row % 9 else row},{row}" for row in range(400))]).encode()
    windows = GOOD + gaps.partition(b"\n")[1] + gaps.partition(b"\n")[2]
    write(tmp_path / "other", a__one_csv=joined, b__one_csv=windows)
    with pytest.raises(UserError, match=cure.format("20 rows of 1 recording")):
        load(tmp_path / "other")


def test_parts_a_zip_and_several_recordings_in_an_npz(tmp_path: Path) -> None:
    several = as_npz(
        signal=rows(70),
        length=np.array([40, 30]),
        label=np.array([1, 0]),
        classes=np.array(["sit", "walk"]),
        subject=np.array([7, 8]),
        rate=np.array(10.0),
        channels=np.array(["x", "y"]),
    )
    raw = load(write(tmp_path / "one", both_npz=several) / "both.npz")
    assert labelled(raw) == {"sit": 2, "walk": 3}
    assert set(raw.train_columns["subject"]) == {"7", "8"}
    assert set(raw.train_columns["recording"]) == {"both.npz[0]", "both.npz[1]"}
    parts = tmp_path / "parts"
    for part in ("train", "val", "test"):
        write(parts / part, sit__a_csv=GOOD, walk__b_csv=as_csv(rows(40, 1)))
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        for path in sorted(parts.rglob("*.csv")):
            archive.write(path, path.relative_to(tmp_path))
    unpacked, packed = load(parts), load(tmp_path / "parts.zip")
    assert np.array_equal(unpacked.train_images, packed.train_images)
    assert (len(packed.train_labels), len(packed.test_labels)) == (12, 6)
    assert unpacked.validation is not None
    assert len(unpacked.validation) == 6


def test_columns_of_people_counters_and_times_are_no_channels() -> None:
    """As in most published recordings: one file, numbered people, milliseconds, an activity."""
    values, people = rows(80), ["1"] * 40 + ["2"] * 40
    times = [str(1_709_283_600_000 + 100 * row) for row in range(80)]
    activity = ["sit"] * 80
    data = as_csv(values, "x,y,subject,timestamp,activity", people, times, activity)
    recordings = list(recording_files.recordings(io.BytesIO(data), "a.csv"))
    assert [recording.channels for recording in recordings] == [("x", "y")] * 2
    assert np.array_equal(read(data), [values[at : at + LENGTH] for at in (0, 10, 20, 40, 50, 60)])


def test_dates_are_times() -> None:
    times = [f"2024-03-01T09:00:{row // 10:02d}.{row % 10}00" for row in range(40)]
    data = as_csv(rows(40), "x,y,Timestamp", times)
    recordings = recording_files.recordings(io.BytesIO(data), "a.csv")
    block = next(next(recordings).blocks)
    assert block.times is not None
    assert np.allclose(np.diff(block.times), 0.1, atol=1e-6)


def test_a_damaged_first_file_does_not_decide_which_channels_the_others_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = as_csv(rows(60), "x,y,label", ["sit"] * 30 + ["run"] * 30)
    raw = load(write(tmp_path, a_csv=b"u,v\n1", b_csv=good, c_csv=good))
    assert raw.unreadable == ["a.csv"]
    assert raw.series is not None
    assert raw.series["channels"] == ("x", "y")
