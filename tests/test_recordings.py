"""Recordings of a sensor: what is read and refused, and how they become windows."""

from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, _recording_files, _windows, series_folder
from pipeline.datasets._windows import Block, Recording, RecordingError
from pipeline.files import groups
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from serving.errors import InputError
from serving.recording import Sampling

RATE, LENGTH = 10, 20
SAMPLING = Sampling(RATE, 10, ("x", "y"))


def rows(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 2)).round(3).astype(np.float32)


def as_csv(values: Array, head: str = "x,y", *columns: list[str]) -> bytes:
    cells = zip(*np.asarray(values).T.tolist(), *columns, strict=True)
    return "\n".join([head, *(",".join(map(str, row)) for row in cells)]).encode()


def as_npz(**arrays: Array | list[str]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def read(data: bytes, name: str = "a.csv", channels: tuple[str, ...] | None = None) -> list[Array]:
    """The windows of every recording in a file."""
    return [
        window.values
        for found in _recording_files.recordings(io.BytesIO(data), name, channels)
        for window in _windows.windows(found, SAMPLING, LENGTH)
    ]


def load(root: Path, **values: object) -> Raw:
    options = {"rate": RATE, "seconds": LENGTH / RATE, **values}
    return series_folder.load(
        Dataset.model_validate({"name": "series_folder", "path": str(root), **options})
    )


def write(root: Path, **files: bytes) -> Path:
    """Files in a folder; `__` in a name is a slash, and `_csv` its suffix."""
    for name, data in files.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = root / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_windows_begin_a_step_apart_and_hold_the_rows_as_they_are() -> None:
    values = rows(55)
    found = read(as_csv(values))
    assert np.array_equal(found, [values[start : start + LENGTH] for start in (0, 10, 20, 30)])
    assert np.array_equal(read(as_npz(signal=values), "a.npz"), found)


@given(
    blocks=st.lists(st.integers(1, 30), max_size=8),
    step=st.integers(1, 50),
    length=st.integers(1, 30),
    missing=st.sets(st.integers(0, 100), max_size=3),
)
def test_windows_do_not_depend_on_blocks_and_hold_no_missing_row(
    blocks: list[int], step: int, length: int, missing: set[int]
) -> None:
    values = rows(sum(blocks))
    values[[row for row in missing if row < len(values)], 1] = np.nan

    def parts() -> Iterator[Block]:
        for start, count in zip(np.cumsum([0, *blocks]).tolist(), blocks, strict=False):
            yield Block(start, values[start : start + count])

    found = _windows.windows(
        Recording(("x", "y"), parts()), Sampling(RATE, step, ("x", "y")), length
    )
    expected, start = [], 0
    for end in [*sorted(row for row in missing if row < len(values)), len(values)]:
        expected += list(range(start, end - length + 1, step))
        start = end + 1
    held = not any(row < len(values) for row in missing) and 2 <= len(values) < length
    windows = list(found)
    assert [window.start for window in windows] == ([0] if held else expected)
    for window in windows:
        rows_of = values[window.start : window.start + length]
        assert window.held == held
        assert np.array_equal(
            window.values, np.pad(rows_of, ((0, length - len(rows_of)), (0, 0)), "edge")
        )


def test_a_gap_in_time_is_in_no_window() -> None:
    time = np.arange(50) / RATE
    time[25:] += 0.3
    data = as_csv(np.column_stack([time, rows(50)]), "time,x,y")
    starts = [
        window.start
        for found in _recording_files.recordings(io.BytesIO(data), "a.csv")
        for window in _windows.windows(found, SAMPLING, LENGTH)
    ]
    assert starts == [0, 25]


@pytest.mark.parametrize("data", [b"x,y\ng,g\n1,2\n", b"x y\n1 2\n3 4\n", b"# 10 Hz\nx,y\n1,2\n"])
def test_a_table_that_does_not_begin_with_names_and_numbers_says_how(data: bytes) -> None:
    with pytest.raises(RecordingError, match="below its first line; expected names there, between"):
        read(data)


def test_an_uneven_clock_and_a_label_by_another_name_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uneven = np.column_stack([np.cumsum(np.tile([0.1, 0.1, 0.2], 20)), rows(60)])
    data = as_csv(uneven, "time,x,y,Klasse", ["auf"] * 30 + ["ab"] * 30)
    with pytest.raises(UserError, match="the others Klasse; if a column holds the label, call it"):
        load(write(tmp_path, a_csv=data, b_csv=data))
    said = capsys.readouterr().out
    assert "40 gaps in time, of more than 1.5 intervals or backwards" in said
    assert "bring the rows to an even rate, or take the column of times out" in said


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


GOOD = as_csv(rows(40))
BROKEN = {
    "nothing": (b"", "holds no rows"),
    "only names": (b"x,y\n", "holds no rows"),
    "a ragged row": (
        GOOD + b"\n1,2,3\n",
        "has 3 cells in row 41; expected 2, as in its first line",
    ),
    "text": (GOOD + b"\n1,fast\n", "has 'fast' in row 41 of column y; expected a number"),
    "bytes": (bytes(range(256)) * 9, "is not a CSV in UTF-8"),
    "bytes far from its beginning": (GOOD + b"\n1,1" * 9000 + b"\xff", "is not a CSV in UTF-8"),
    "a long line": (b"1" * 70_000, "has a line of more than 65,536 characters"),
    "a rate of 0": (
        as_csv(np.column_stack([np.zeros(40), rows(40)]), "time,x,y"),
        "has times that stand still or run backwards; expected a later time in each row",
    ),
    "a word for a missing value": (GOOD + b"\n1,NA\n", "or an empty cell for a missing value"),
    "another rate": (
        as_csv(np.column_stack([np.arange(40) / 50, rows(40)]), "time,x,y"),
        "has 50 Hz by its column time",
    ),
    "other channels": (as_csv(rows(40), "x,z"), "has no column y; its columns are x, z"),
    "a name twice": (as_csv(rows(40), "x,x"), "names a column twice"),
}


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
    with pytest.raises(RecordingError, match=re.escape(reason)):
        read(data, "a.npz")


def test_missing_values_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = GOOD + b"\nnan,1\n,\n1,1e60\n" + GOOD.partition(b"\n")[2]
    write(tmp_path, a__one_csv=data, b__one_csv=GOOD)
    assert len(load(tmp_path).train_labels) == 9
    assert "3 rows without a value: such a row is in no window" in capsys.readouterr().out


def test_a_long_recording_is_read_in_the_memory_of_a_short_one() -> None:
    def peak(count: int) -> int:
        data = io.BytesIO(as_csv(rows(count)))
        tracemalloc.start()
        for found in _recording_files.recordings(data, "long.csv"):
            windows = sum(1 for _ in _windows.windows(found, SAMPLING, LENGTH))
        assert windows == count // 10 - 1
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(40_000) < 1.1 * peak(10_000)


def test_what_follows_the_most_values_of_a_recording_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_folder, "MOST_VALUES", 5 * LENGTH * 2)
    write(tmp_path, a__one_csv=GOOD, b__one_csv=as_csv(rows(500)))
    assert len(load(tmp_path).train_labels) == 3 + 5
    assert "1 recording of more than 200 values: the rest is not used" in capsys.readouterr().out


def labelled(raw: Raw) -> dict[str, int]:
    return {
        name: int((raw.train_labels == number).sum()) for number, name in enumerate(raw.class_names)
    }


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


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        (b"file,start\n", "has the columns file, start; expected file and label"),
        (b"file,label\nb.csv,sit\n", "row 2 of .*labels.csv names b.csv; expected a CSV or npz"),
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


def test_a_window_shorter_than_two_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"seconds is 0.1 .* windows of 1 row; expected at least 2"):
        load(tmp_path, seconds=0.1)


def test_windows_of_a_recording_stay_together_whatever_the_group_is() -> None:
    names, recordings = ["anna", "ben", "", "", "ben"], ["1", "1", "2", "2", "3"]
    numbers = groups.connected(groups.distinct(names), recordings)
    assert numbers.tolist() == [0, 0, 1, 1, 0]


def test_a_device_cuts_a_csv_as_the_pipeline_does(tmp_path: Path) -> None:
    values = rows(3000)
    values[[5, 700, 701]] = np.nan
    time = np.arange(3000) / RATE
    time[1200:] += 1
    for data in (
        as_csv(values),
        as_csv(values).partition(b"\n")[2],
        as_csv(np.column_stack([time, values]), "time,x,y").replace(b"nan", b""),
        as_csv(values, "x,y,label", ["a"] * 3000).replace(b",", b";"),
    ):
        (tmp_path / "a.csv").write_bytes(data)
        for source in (data, tmp_path / "a.csv"):
            found = list(SAMPLING.windows(source, "a.csv", LENGTH))
            assert np.array_equal([window for _, window in found], read(data, channels=("x", "y")))
        assert found[0][0] == "a.csv 0.60 s"


def test_a_recording_shorter_than_a_window_is_held_at_its_last_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = rows(LENGTH - 1)
    held = np.concatenate([values, values[-1:]])
    timed = np.column_stack([np.arange(LENGTH - 1) / RATE, values])
    for data in (as_csv(values), as_csv(timed, "time,x,y")):
        assert np.array_equal(read(data), [held])
        (found,) = SAMPLING.windows(data, "a.csv", LENGTH)
        assert found[0] == "a.csv 0.00 s" and np.array_equal(found[1], held)
    gap = timed.copy()
    gap[5:, 0] += 1
    missing = values.copy()
    missing[3] = np.nan
    for data in (as_csv(gap, "time,x,y"), as_csv(missing), as_csv(values[:1])):
        assert read(data) == []
        with pytest.raises(InputError, match="has no window of 20 rows that follow each other"):
            list(SAMPLING.windows(data, "a.csv", LENGTH))
    gestures = write(tmp_path, up__1_csv=as_csv(values), down__1_csv=as_csv(rows(25, 1)))
    two = as_csv(values, "x,y,label", ["up"] * 9 + ["down"] * 10)
    raw = load(write(gestures, up__2_csv=two))
    assert raw.train_labels.tolist() == [0, 1] and np.array_equal(raw.train_images[1], held)
    said = capsys.readouterr().out
    assert "1 recording shorter than a window: held at the last row" in said
    assert "1 recording without a window: it needs 20 rows of one label" in said


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "a name twice"])
def test_a_device_refuses_a_broken_csv_in_a_sentence(name: str) -> None:
    with pytest.raises(InputError, match=r"^a.csv (is not a recording: |has no window)"):
        list(SAMPLING.windows(BROKEN[name][0], "a.csv", LENGTH))


def test_columns_of_people_counters_and_times_are_no_channels() -> None:
    """As in most published recordings: one file, numbered people, milliseconds, an activity."""
    values, people = rows(80), ["1"] * 40 + ["2"] * 40
    times = [str(1_709_283_600_000 + 100 * row) for row in range(80)]
    activity = ["sit"] * 80
    data = as_csv(values, "x,y,subject,timestamp,activity", people, times, activity)
    found = list(_recording_files.recordings(io.BytesIO(data), "a.csv"))
    assert [recording.channels for recording in found] == [("x", "y")] * 2
    assert np.array_equal(read(data), [values[at : at + LENGTH] for at in (0, 10, 20, 40, 50, 60)])


def test_dates_are_times() -> None:
    times = [f"2024-03-01T09:00:{row // 10:02d}.{row % 10}00" for row in range(40)]
    data = as_csv(rows(40), "x,y,Timestamp", times)
    recordings = _recording_files.recordings(io.BytesIO(data), "a.csv")
    block = next(next(recordings).blocks)
    assert block.times is not None
    assert np.allclose(np.diff(block.times), 0.1, atol=1e-6)
