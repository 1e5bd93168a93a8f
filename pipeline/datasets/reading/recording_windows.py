"""Recordings of sensors a block at a time, and their windows: those of `serving.recording`.

A value that is missing, NaN or infinite, and a gap in time, is in no window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from pipeline.datasets.reading.file_tree import FileError
from serving.recording import GAP, TOLERANCE, Sampling

MOST_CHANNELS = 1024


@dataclass(frozen=True)
class Block:
    """Rows (B,) that follow each other: values (B, C) float32, NaN where one is missing.

    `start` is the number of the first one, `times` (B,) are seconds, and `text` are the columns
    that are neither.
    """

    start: int
    values: Any
    times: Any | None = None
    text: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Recording:
    """`number` is its place in a file of several; `columns` are known of it as a whole.

    `rate` in Hz is None if the file does not say. Blocks can be read once, in their order.
    """

    channels: tuple[str, ...]
    blocks: Iterator[Block]
    number: int | None = None
    rate: float | None = None
    columns: dict[str, str] = field(default_factory=dict)
    missing: int = 0  # rows without a value, of those that were read
    gaps: int = 0  # of time before a row, of those that were read


@dataclass(frozen=True)
class Window:
    """`values` (T, C) float32 from the row `start` on, all of which have the same `mark`.

    If it is `held`, the recording is shorter, and its last row is repeated.
    """

    start: int
    values: Any
    mark: int = 0
    held: bool = False


class Stretch(NamedTuple):
    """Rows of a block, `values` (B, C) from `start` on, that follow each other and have one mark.

    Unless it `begins`, it goes on with the one before, which ended with its block. If
    `is_missing`, each row lacks a value.
    """

    start: int
    values: Any
    mark: int
    begins: bool
    is_missing: bool


def windows(
    recording: Recording,
    sampling: Sampling,
    length: int,
    marks: Callable[[Block], Any] | None = None,
    is_even: bool = False,
) -> Iterator[Window]:
    """The windows of `length` rows, each within rows that follow each other and have one mark.

    A shorter recording whose rows all do so has one window, held at its last row; it needs two.
    `marks` gives an integer for each row of a block. If the rows count as even, whatever their
    times are, there is no gap. Raises FileError.
    """
    _check_rate(recording.rate, sampling.rate, "a rate of ", "")
    waiting = np.empty((0, len(recording.channels)), np.float32)
    first, skipped = 0, 0  # the row that the next window begins with, and how many are before it
    rows, mark = 0, 0
    for stretch in _stretches(recording, 1 / sampling.rate, marks, is_even):
        rows, mark = rows + len(stretch.values), stretch.mark
        if stretch.begins:
            waiting, first, skipped = waiting[:0], stretch.start, 0
        if stretch.is_missing:
            continue
        unused = min(skipped, len(stretch.values))
        waiting = np.concatenate([waiting, stretch.values[unused:]])
        skipped -= unused
        while len(waiting) >= length:
            yield Window(first, waiting[:length], mark)
            skipped = max(sampling.step - len(waiting), 0)
            waiting, first = waiting[sampling.step :], first + sampling.step
    if 2 <= rows == len(waiting) < length:
        held = np.concatenate([waiting, np.repeat(waiting[-1:], length - rows, axis=0)])
        yield Window(first, held, mark, held=True)


def _stretches(
    recording: Recording, interval: float, marks: Callable[[Block], Any] | None, is_even: bool
) -> Iterator[Stretch]:
    """All rows of a recording with one in each `interval` of seconds. Raises FileError."""
    last: tuple[bool, float, int] | None = None
    for block in recording.blocks:
        mark = np.zeros(len(block.values), np.int64) if marks is None else marks(block)
        missing = ~np.isfinite(block.values).all(1)
        recording.missing += int(missing.sum())
        times = None if is_even else block.times
        gaps = _gaps(len(block.values), times, last, interval)
        recording.gaps += int(gaps.sum())
        begins = missing | _begins(missing, mark, last) | gaps
        last = missing[-1], math.nan if times is None else times[-1], mark[-1]
        starts = [*sorted({0, *np.flatnonzero(begins).tolist()}), len(begins)]
        for start, stop in pairwise(starts):
            yield Stretch(
                block.start + start,
                block.values[start:stop],
                int(mark[start]),
                bool(begins[start]),
                bool(missing[start]),
            )


def _begins(missing: Any, mark: Any, last: tuple[bool, float, int] | None) -> Any:
    """Whether what is before each row (B,) is missing, or has another mark."""
    was_missing, _, was_marked = last or (True, math.nan, mark[0])
    result = np.concatenate([[was_missing], missing[:-1]])
    return result | (np.diff(mark, prepend=was_marked) != 0)


def _gaps(
    rows: int, times: Any | None, last: tuple[bool, float, int] | None, interval: float
) -> Any:
    """Whether each row (B,) does not follow the one before it in time. Raises FileError."""
    if times is None:
        return np.zeros(rows, bool)
    time = math.nan if last is None else last[1]
    steps = np.diff(times, prepend=time)
    if last is None and len(steps) > 1:
        _check_rate(rate_of(steps[1:]), 1 / interval, "", " by its column time, in seconds")
    follows = is_no_gap(steps, interval)
    follows[0] |= np.isnan(time)
    return ~follows


def is_no_gap(steps: Any, interval: float) -> Any:
    """Whether a row follows the one before it, by the seconds between them; of arrays, each."""
    return (steps > 0) & (steps <= GAP * interval)


def rate_of(steps: Any) -> float:
    """Hz by the seconds from each row to the next. Raises FileError."""
    middle = float(np.median(steps))
    if not middle > 0:
        raise FileError(
            "has times that stand still or run backwards; expected a later time in each row, or no "
            "column of times, and `--rate` for `edgeproof start`"
        )
    return 1 / middle


def _check_rate(rate: float | None, expected: float, before: str, after: str) -> None:
    if rate is not None and not is_close(rate, expected):
        raise FileError(f"has {before}{rate:.4g} Hz{after}; expected {expected:g} Hz")


def is_close(rate: Any, expected: Any) -> Any:
    """Whether a rate counts as the expected one; of arrays, each."""
    return abs(rate / expected - 1) <= TOLERANCE


def check_channels(channels: Sequence[str], names: Sequence[str]) -> None:
    if missing := [name for name in channels if name not in names]:
        raise FileError(f"has no column {missing[0]}; its columns are {', '.join(names)[:200]}")
    if not 1 <= len(channels) <= MOST_CHANNELS:
        raise FileError(f"has {len(channels)} columns of numbers; expected 1 to {MOST_CHANNELS}")


def float32_or_nan(values: Any) -> Any:
    """As float32; NaN in place of what it cannot hold."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.asarray(values).astype(np.float32)
    return np.where(np.isfinite(result), result, np.float32(np.nan))
