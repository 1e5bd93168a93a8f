"""How a recording becomes windows."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.reading import labelled_windows, recording_files, recording_windows
from pipeline.datasets.reading.recording_windows import Block, Recording
from pipeline.files import groups
from pipeline.process.errors import UserError
from serving.errors import InputError
from serving.recording import Sampling
from tests.recordings.conftest import (
    GOOD,
    LENGTH,
    RATE,
    SAMPLING,
    as_csv,
    as_npz,
    load,
    read,
    rows,
    write,
)


def test_windows_begin_a_step_apart_and_hold_the_rows_as_they_are() -> None:
    values = rows(55)
    windows = read(as_csv(values))
    assert np.array_equal(windows, [values[start : start + LENGTH] for start in (0, 10, 20, 30)])
    assert np.array_equal(read(as_npz(signal=values), "a.npz"), windows)


@pytest.mark.parametrize(
    ("between", "count"), [("\n\n", 3), ("\n\n\n", 3), ("\n", 5)], ids=["one", "two", "none"]
)
def test_a_blank_line_begins_another_recording(between: str, count: int) -> None:
    parts = [as_csv(rows(20, seed)).decode().split("\n", 1)[1] for seed in range(3)]
    windows = read(f"x,y\n{between.join(parts)}\n\n".encode())
    assert len(windows) == count
    assert np.array_equal(windows[0], rows(20)) and np.array_equal(windows[-1], rows(20, 2))


def test_a_blank_line_below_the_names_of_the_columns_joins_no_recordings() -> None:
    parts = [as_csv(rows(20, seed)).decode().split("\n", 1)[1] for seed in range(3)]
    assert len(read("\n\n".join(["x,y", *parts]).encode())) == 3


def test_a_blank_line_between_rows_whose_times_follow_each_other_is_nothing() -> None:
    timed = np.column_stack([np.arange(60) / RATE, rows(60)])
    head, *lines = as_csv(timed, "time,x,y").decode().split("\n")
    parted = "\n".join([head, *lines[:30], "", *lines[30:]]).encode()
    assert np.array_equal(read(parted), read(as_csv(timed, "time,x,y")))


@pytest.mark.parametrize("head", ["x,y\n", "x,y\n\n", ""])
def test_a_blank_line_after_every_row_is_none(head: str) -> None:
    lines = as_csv(rows(40)).decode().split("\n")[1:]
    windows = read((head + "\n\n".join(lines)).encode(), channels=("x", "y"))
    assert np.array_equal(windows, [rows(40)[at : at + LENGTH] for at in (0, 10, 20)])


def test_an_uneven_clock_may_count_as_even(tmp_path: Path) -> None:
    uneven = np.column_stack([np.cumsum(np.tile([0.1, 0.05, 0.2], 20)), rows(60)])
    data = as_csv(uneven, "time,x,y")
    write(tmp_path, up__a_csv=data, down__a_csv=data)
    with pytest.raises(UserError, match="has windows of 0 labels"):
        load(tmp_path)
    raw = load(tmp_path, gaps="ignore")
    assert np.array_equal(
        raw.train_images[::2], [rows(60)[at : at + 20] for at in range(0, 50, 10)]
    )


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

    iterator = recording_windows.windows(
        Recording(("x", "y"), parts()), Sampling(RATE, step, ("x", "y")), length
    )
    expected, start = [], 0
    for end in [*sorted(row for row in missing if row < len(values)), len(values)]:
        expected += list(range(start, end - length + 1, step))
        start = end + 1
    held = not any(row < len(values) for row in missing) and 2 <= len(values) < length
    windows = list(iterator)
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
        for recording in recording_files.recordings(io.BytesIO(data), "a.csv")
        for window in recording_windows.windows(recording, SAMPLING, LENGTH)
    ]
    assert starts == [0, 25]


def test_a_long_recording_is_read_in_the_memory_of_a_short_one() -> None:
    def peak(count: int) -> int:
        data = io.BytesIO(as_csv(rows(count)))
        tracemalloc.start()
        for recording in recording_files.recordings(data, "long.csv"):
            windows = sum(1 for _ in recording_windows.windows(recording, SAMPLING, LENGTH))
        assert windows == count // 10 - 1
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(40_000) < 1.1 * peak(10_000)


def test_what_follows_the_most_values_of_a_recording_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled_windows, "MOST_VALUES", 5 * LENGTH * 2)
    write(tmp_path, a__one_csv=GOOD, b__one_csv=as_csv(rows(500)))
    assert len(load(tmp_path).train_labels) == 3 + 5
    assert "1 recording of more than 200 values: the rest is not used" in capsys.readouterr().out


def test_a_window_shorter_than_two_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"seconds is 0.1 .* windows of 1 row; expected at least 2"):
        load(tmp_path, seconds=0.1)


def test_windows_of_a_recording_stay_together_whatever_the_group_is() -> None:
    names, recordings = ["anna", "ben", "", "", "ben"], ["1", "1", "2", "2", "3"]
    numbers = groups.connected(groups.distinct(names), recordings)
    assert numbers.tolist() == [0, 0, 1, 1, 0]


def test_a_recording_shorter_than_a_window_is_held_at_its_last_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = rows(LENGTH - 1)
    held = np.concatenate([values, values[-1:]])
    timed = np.column_stack([np.arange(LENGTH - 1) / RATE, values])
    for data in (as_csv(values), as_csv(timed, "time,x,y")):
        assert np.array_equal(read(data), [held])
        (window,) = SAMPLING.windows(data, "a.csv", LENGTH)
        assert window[0] == "a.csv 0.00 s" and np.array_equal(window[1], held)
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
    output = capsys.readouterr().out
    assert "1 recording shorter than a window: held at the last row" in output
    assert "1 recording without a window: it needs 20 rows of one label" in output
