"""The same features and words in Python and in C."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bundle import golden_sounds
from pipeline.embedded import _zig
from pipeline.embedded._kinds import sounds
from pipeline.files.artifacts import Array
from serving.listening import Listener
from serving.log_mel import LONGEST, LogMel
from tests.listening.conftest import CASES, CLASSES, in_c, in_python, rows_of, write_sources


def whole_windows(listener: Listener, samples: Array) -> Array:
    """The samples up to the end of the last whole window: nothing is padded in C."""
    count = listener.front_end.samples(listener.frames)
    windows = max((len(samples) - count) // listener.step, 0) + 1
    whole = np.zeros(count + (windows - 1) * listener.step, np.int16)
    whole[: len(samples)] = samples[: len(whole)]
    return whole


def recordings(listener: Listener) -> dict[str, Array]:
    """The golden recordings, and the extremes, each as long as some windows."""
    count = listener.front_end.samples(listener.frames)
    dice, length = np.random.default_rng(0), count + 40 * listener.step
    return {
        **golden_sounds.recordings(listener.front_end, count),
        "lowest": np.full(length, -(2**15), np.int16),
        "highest": np.full(length, 2**15 - 1, np.int16),
        "signs": dice.choice([-(2**15), 2**15 - 1], length).astype(np.int16),
        "one bit": dice.integers(-1, 2, length).astype(np.int16),
        "silence": np.zeros(length, np.int16),
        # The Hann window is off by one there between its halves, which changes some energies
        "quarters": impulses(listener.front_end.window, length),
    }


def impulses(window: int, length: int) -> Array:
    """One in a frame, of all sizes, three quarters after its beginning."""
    samples = np.zeros(length, np.int16)
    places = np.arange(3 * window // 4, length, window)
    samples[places] = np.random.default_rng(0).integers(-(2**15), 2**15, len(places))
    return samples


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_golden_recording_and_extreme_has_the_same_features_and_words_in_c(
    programs: Any, number: int
) -> None:
    for name, samples in recordings(CASES[number]).items():
        whole = whole_windows(CASES[number], samples)
        rows = rows_of(whole, number)
        expected = in_python(CASES[number], whole, rows)
        assert in_c(programs(number), whole, rows) == expected, name
        assert expected[0]


@pytest.mark.slow
@settings(max_examples=40)
@given(
    number=st.sampled_from(range(len(CASES))),
    seed=st.integers(0, 2**32 - 1),
    windows=st.integers(0, 9),
    loudness=st.integers(0, 15),
    ignored=st.lists(st.integers(0, CLASSES - 1), max_size=1),
)
def test_any_stream_has_the_same_features_and_words_in_c(
    programs: Any, *, number: int, seed: int, windows: int, loudness: int, ignored: list[int]
) -> None:
    listener = CASES[number]
    count = listener.front_end.samples(listener.frames) + windows * listener.step
    dice = np.random.default_rng(seed)
    samples = (dice.integers(-(2**15), 2**15, count) >> loudness).astype(np.int16)
    rows = rows_of(samples, seed)
    expected = in_python(listener, samples, rows, *ignored)
    assert in_c(programs(number), samples, rows, *ignored) == expected


@pytest.mark.slow
def test_the_tables_of_every_front_end_are_those_of_python() -> None:
    """C adds and subtracts samples that lie symmetrically, and a bin is in two bands at most."""
    for window in range(3, LONGEST + 1):
        front_end = LogMel(rate=8000, window=window, hop=1, bands=1)
        cosines, sines = front_end.waves
        assert np.array_equal(cosines[1:], cosines[:0:-1])
        assert np.array_equal(sines[1:], -sines[:0:-1])
    for front_end in (case.front_end for case in CASES):
        pairs = [sounds.bin_weights(row) for row in front_end.weights]
        rebuilt = np.zeros_like(front_end.weights)
        for row, (band, own, following) in zip(rebuilt, pairs, strict=True):
            row[band] = own
            row[band + 1 : band + 2] = following
        assert np.array_equal(rebuilt, front_end.weights)


@pytest.mark.slow
def test_the_front_end_needs_no_floating_point_and_no_library(tmp_path: Path) -> None:
    """As an object for a Cortex-M0, which calls a function for each operation that it lacks."""
    write_sources(tmp_path, CASES[0])
    chip = ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0", "-ffreestanding")
    called = {}
    for name in sounds.SOURCES:
        _zig.build(tmp_path, [name], tmp_path / f"{name}.o", "-c", "-std=c99", "-Os", *chip)
        content = (tmp_path / f"{name}.o").read_bytes()
        called[name] = set(re.findall(rb"__aeabi_\w+|mem\w+|malloc", content))
    assert b"__aeabi_fadd" in called["listen.c"], "which adds probabilities"
    unwinding = {name for name in called["log_mel.c"] if b"unwind" in name}
    assert called["log_mel.c"] - unwinding <= {b"__aeabi_lmul", b"__aeabi_llsl", b"__aeabi_llsr"}
