"""What the columns of people's recordings mean, and that they change no recording that was read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.reading import recording_columns as columns
from pipeline.datasets.reading import recording_files
from pipeline.datasets.reading.recording_windows import Block
from pipeline.files.raw import RECORDING
from pipeline.planning import sensors
from pipeline.process.errors import UserError
from tests.recordings.conftest import RATE, as_csv, load, rows, write


def channels(names: list[str], cells: list[str]) -> list[str]:
    known = columns.canonical(names, dict(zip(names, cells, strict=True)))
    return [
        name
        for name, cell in zip(known, cells, strict=True)
        if name not in ("time", "label") and columns.is_channel(name, cell)
    ]


@pytest.mark.parametrize(
    ("names", "cells", "expected"),
    [
        ("time,T_in,T_out,p", "0,20.1,9.5,1013", "T_in,T_out,p"),
        ("T,RH", "20.1,55", "T,RH"),
        ("elapsed (s),x-axis (g)", "0.00,0.1", "x-axis (g)"),
        ("epoch_number,elapsed_distance,x", "3,12.5,1", "epoch_number,elapsed_distance,x"),
        ("No.,row_id,Unnamed: 0,sample,x", "1,1,0,1,5", "x"),
        ("Subject ID,session,x", "4,1,0.2", "x"),
        ("target,x", "20.5,1", "target,x"),
        ("activity,x", "3,1.5", "x"),
    ],
)
def test_channels_are_told_from_times_people_counters_and_labels(
    names: str, cells: str, expected: str
) -> None:
    assert channels(names.split(","), cells.split(",")) == expected.split(",")


@pytest.mark.parametrize(
    ("name", "first", "second", "step"),
    [
        ("time", "7.0", "7.02", 0.02),
        ("time_ms", "500", "520", 0.02),
        ("elapsed_minutes", "0", "0.5", 30),
        ("timestamp", "1709283600000", "1709283600020", 0.02),
        ("timestamp", "2024-03-01T09:00:00.250", "2024-03-01T09:00:00.270", 0.02),
        ("timestamp", "1709283600000000", "1709283600020000", 0.02),
        ("Time", "09:00:00.250", "09:00:00.270", 0.02),
        ("Time", "09:59.990", "10:00.010", 0.02),
        ("Time", "59:59.990", "60:00.010", 0.02),
        ("Time", "9:59,980", "10:00", 0.02),
        ("Time", "00:00.000", "61:02.500", 3662.5),
        ("Time", "09:00", "09:01", 60),
        ("time", "01.03.2024 09:00:00.250", "01.03.2024 09:00:00.270", 0.02),
        ("time", "29.02.2024 23:59:59,990", "01.03.2024 00:00:00,010", 0.02),
    ],
)
def test_times_become_seconds(name: str, first: str, second: str, step: float) -> None:
    assert columns.canonical([name], {name: first}) == ["time"]
    clock = columns.clock(name, first)
    assert clock is not None
    assert clock(second) - clock(first) == pytest.approx(step)


@pytest.mark.parametrize(("first", "other"), [("00:00", "00:00.02"), ("00:00.02", "00:00:00.04")])
def test_a_clock_that_changes_its_form_is_refused(first: str, other: str) -> None:
    clock = columns.clock("time", first)
    assert clock is not None
    with pytest.raises(ValueError, match="is not"):
        clock(other)


def test_a_date_without_a_time_of_day_is_no_time() -> None:
    cells = {"Date": "2024-03-01", "Time": "09:00:00", "x": "1"}
    assert columns.canonical([*cells], cells) == ["Date", "time", "x"]


def test_people_are_held_together_before_their_sessions() -> None:
    assert columns.held_together(["session", "Subject_ID", "x"]) == "Subject_ID"
    assert columns.held_together(["camera", "x"]) == "camera"
    assert columns.held_together(["x", "trial"]) is None


def spans() -> bytes:
    return b"file,label,start,end\na.csv,rest,0,4\na.csv,walk,4,8\n"


@pytest.mark.parametrize("names", ["x,y,trial", "x,y,timestamp"])
def test_spans_of_a_list_count_from_the_beginning_of_the_file(tmp_path: Path, names: str) -> None:
    cells = {
        "x,y,trial": ["1"] * 40 + ["2"] * 40,
        "x,y,timestamp": [f"2024-03-01T09:00:{row // 10:02d}.{row % 10}00" for row in range(80)],
    }[names]
    write(tmp_path, labels_csv=spans(), a_csv=as_csv(rows(80), names, cells))
    raw = load(tmp_path, labels="labels.csv", step=1.0)
    assert raw.class_names == ["rest", "walk"]
    assert np.array_equal(np.bincount(raw.train_labels), [3, 3])
    first = raw.train_images[raw.train_labels == 0]
    assert {row.tobytes() for row in first} == {
        rows(80)[at : at + 20].tobytes() for at in (0, 10, 20)
    }


def test_a_list_may_have_a_label_and_an_activity(tmp_path: Path) -> None:
    listed = b"file,label,activity\na.csv,up,sport\nb.csv,down,sport\n"
    write(tmp_path, labels_csv=listed, a_csv=as_csv(rows(40)), b_csv=as_csv(rows(40, 1)))
    raw = load(tmp_path, labels="labels.csv")
    assert raw.class_names == ["down", "up"]
    assert set(raw.train_columns["activity"]) == {"sport"}


@pytest.mark.parametrize(("column", "count"), [("trial", 3), ("subject", 6)])
def test_trials_in_files_of_their_own_stay_together(
    tmp_path: Path, column: str, count: int
) -> None:
    parts = ["1"] * 40 + ["2"] * 40
    for name in "abc":
        write(
            tmp_path,
            **{f"{'ud'[name == 'a']}__{name}_csv": as_csv(rows(80), f"x,y,{column}", parts)},
        )
    assert len(set(load(tmp_path).train_columns[RECORDING])) == count


def test_a_recording_with_a_bad_row_does_not_stop_the_others(tmp_path: Path) -> None:
    time = [str(row / RATE) for row in range(400)]
    for number in range(6):
        good = as_csv(rows(400, number), "x,y,time", time)
        write(tmp_path, **{f"{'ud'[number % 2]}__{number}_csv": good})
    path = tmp_path / "u/0.csv"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:5], b"bad,1,0", *lines[5:]]))
    assert sensors.survey(tmp_path).rate == RATE
    (tmp_path / "d/1.csv").write_bytes(b"x,y,time\n1,2\n")
    assert sensors.survey(tmp_path).rate == RATE
    for file in tmp_path.rglob("*.csv"):
        file.write_bytes(b"x,y\n1,2\n2,3\nbad,3\n")
    with pytest.raises(UserError, match=r"no recording that can be read: .*\.csv has 'bad'"):
        sensors.survey(tmp_path)


def test_blocks_of_each_part_know_their_row_in_the_file() -> None:
    parts = ["1"] * 30 + ["2"] * 30
    data = as_csv(rows(60), "x,y,trial", parts)
    starts: list[Block] = []
    for recording in recording_files.recordings(io.BytesIO(data), "a.csv"):
        starts += list(recording.blocks)
    assert [block.start for block in starts] == [0, 30]
