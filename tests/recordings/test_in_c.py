"""The ring of rows in C gives the windows of `serving predict`, bit by bit."""

from __future__ import annotations

import ctypes
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedded._kinds import series
from pipeline.files.artifacts import Array, Description
from serving.recording import Sampling
from tests.recordings.conftest import RATE, as_csv

CHANNELS = ("x", "y")
CASES = ((20, 10), (7, 7), (5, 8), (6, 1))  # rows of a window, and from one to the next


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> list[ctypes.CDLL]:
    """window.c for each of CASES."""
    result = []
    for steps, step in CASES:
        folder = tmp_path_factory.mktemp("window")
        how = {"rate": RATE, "step": step, "channels": CHANNELS}
        data = Description("x", ["a", "b"], (steps, 2), {}, [], "series", series=how)
        (folder / "model.h").write_text(series.definitions(data))
        series.write(folder, data)
        command = ["gcc", "-std=c99", "-Wall", "-Werror", "-shared", "-fPIC", "window.c"]
        subprocess.run([*command, "-o", "window.so"], cwd=folder, check=True)
        result.append(ctypes.CDLL(str(folder / "window.so")))
    return result


def in_c(library: ctypes.CDLL, rows: Array, gaps: set[int], steps: int) -> list[Array]:
    ring = (ctypes.c_char * (steps * 2 * 4 + 8))()
    windows, values = [], np.zeros((steps, 2), np.float32)
    for number, row in enumerate(rows):
        if number in gaps:
            library.window_reset(ring)
        if library.window_add(ring, np.ascontiguousarray(row).ctypes.data_as(ctypes.c_void_p)):
            library.window_read(ring, values.ctypes.data_as(ctypes.c_void_p))
            windows.append(values.copy())
    return windows


def in_python(rows: Array, gaps: set[int], steps: int, step: int) -> list[Array]:
    """From a CSV in which a second is missing before each of the `gaps`."""
    intervals = [1 / RATE + (number in gaps) for number in range(len(rows))]
    data = as_csv(np.column_stack([np.cumsum(intervals), rows.astype(float)]), "time,x,y")
    sampling = Sampling(RATE, step, CHANNELS)
    return [window for _, window in sampling.windows(data, "a.csv", steps)]


@given(
    number=st.sampled_from(range(len(CASES))),
    seed=st.integers(0, 2**32 - 1),
    missing=st.sets(st.integers(0, 119), max_size=3),
    gaps=st.sets(st.integers(1, 119), max_size=3),
)
def test_any_rows_have_the_same_windows_in_c(
    libraries: list[ctypes.CDLL], number: int, seed: int, missing: set[int], gaps: set[int]
) -> None:
    steps, step = CASES[number]
    dice = np.random.default_rng(seed)
    rows = (dice.normal(size=(120, 2)) * 10.0 ** dice.integers(-30, 30)).astype(np.float32)
    rows[[*missing], dice.integers(0, 2)] = np.nan
    expected = in_python(rows, gaps, steps, step)
    assert np.array_equal(in_c(libraries[number], rows, gaps, steps), expected)
