"""What the recordings of a sensor share: their rate and how to cut them; see also `channels`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.datasets import _recording_files, series_folder
from pipeline.datasets._recording_columns import LABELS
from pipeline.datasets._recording_list import RecordingFile
from pipeline.datasets._tree import FileError
from pipeline.datasets._windows import Block, Recording, is_close, is_no_gap, rate_of
from pipeline.planning import channels
from pipeline.planning.channels import FEWEST_STEPS, Beginning
from pipeline.process.errors import UserError

SECONDS, FEWEST_ROWS = 2.0, 32  # of a window
LONGEST_EVENT = 5.0  # seconds of recordings that were cut to what they show
SHORT, LONG = 0.1, 0.95  # quantiles of the lengths
SAMPLE = 200  # recordings that are looked at
WIDE = 20  # columns of numbers, from which a row may be an example
UNEVEN = 0.2  # of the recordings, from which on their gaps are those of a clock
MOST_MISSING = 1.25  # of the time that the rows take, in a recording that lacks hardly any


@dataclass(frozen=True)
class Plan:
    """The values of `dataset`, why windows have their length, and what a person should know."""

    values: dict[str, object]
    reason: str
    remarks: list[str] = field(default_factory=list)


@dataclass
class Sample:
    """The beginnings of recordings, and why others cannot be read."""

    beginnings: list[Beginning] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)


def plan(path: Path, rate: float | None) -> Plan:
    """The rate of the recordings, their channels and how to cut them. Raises UserError."""
    sample = _sample(path)
    own_rate = rate if rate and sample.beginnings else _rate(path, sample)
    columns, remarks = channels.columns(sample.beginnings)
    remarks += channels.like_labels(sample.beginnings, columns)
    uneven = _uneven(sample, _default_rows(own_rate))
    if uneven:
        own_rate = rate or float(f"{np.median(uneven):.3g}")
        remarks.append(
            f"the clock is uneven, or rows were lost: gaps in time would leave {len(uneven)} of "
            f"{len(sample.beginnings)} recordings without a window, so their rows count as even, "
            f"{own_rate:g} a second (dataset.gaps); leave the column of times out on the device, "
            "too"
        )
    rows, reason = _window(path, own_rate)
    seconds = float(f"{rows / own_rate:.6g}")
    values: dict[str, object] = {"rate": own_rate, "seconds": seconds, "step": seconds / 2}
    values |= {"gaps": "ignore"} if uneven else {}
    values |= {"columns": columns} if columns else {}
    return Plan(values, reason, remarks)


def _default_rows(rate: float) -> int:
    return max(round(SECONDS * rate), FEWEST_ROWS)


def _window(path: Path, rate: float) -> tuple[int, str]:
    """The rows of a window, and why it has so many."""
    rows = _default_rows(rate)
    most = max(round(LONGEST_EVENT * rate), rows) + 1
    looked_at = [*islice(_lengths(path, most), SAMPLE)] or [(0, True)]
    lengths = np.array([length for length, _ in looked_at])
    longest = int(np.quantile(lengths, LONG, method="higher"))
    are_events = longest <= LONGEST_EVENT * rate and all(has_one for _, has_one in looked_at)
    if are_events and len(lengths) > 1 and lengths.min() == longest:
        return longest, "all of a recording, as they are of one length"
    short = int(np.quantile(lengths, SHORT, method="lower"))
    if short >= rows:
        return rows, "a window; what you look for should fit into it"
    how_many = "only one of twenty is longer" if are_events else "nine of ten are as long"
    reason = f"{how_many}; a shorter recording is held at its last row"
    return max(longest if are_events else short, 2), reason


def _lengths(path: Path, most: int) -> Iterator[tuple[int, bool]]:
    """The rows of each recording, of which at most about `most` are read; has it one label?"""
    for row, recording in _recordings(path, {}):
        count, labels = 0, 0
        for block in recording.blocks:
            count += len(block.values)
            labels += sum(name in block.text for name in LABELS)
            if count >= most:
                break
        yield min(count, most), row.spans is None and not labels


def _recordings(path: Path, faults: dict[str, str]) -> Iterator[tuple[RecordingFile, Recording]]:
    """All that can be read; `faults` then has the reasons why others cannot."""
    with series_folder.opened(path, series_folder.Options().labels) as (rows, open_file, _):
        for row in rows:
            try:
                with open_file(row.file) as file:
                    for recording in _recording_files.recordings(file, row.file):
                        blocks = _readable(recording.blocks, row.file, faults)
                        yield row, replace(recording, blocks=blocks)
            except (FileError, OSError) as error:
                faults[row.file] = str(error)


def _readable(blocks: Iterator[Block], file: str, faults: dict[str, str]) -> Iterator[Block]:
    """The blocks before a fault, which is kept."""
    try:
        yield from blocks
    except FileError as error:
        faults[file] = str(error)


def _sample(path: Path) -> Sample:
    """The beginnings of SAMPLE recordings."""
    sample = Sample()
    for row, recording in islice(_recordings(path, sample.faults), SAMPLE):
        block = next(iter(recording.blocks), None)
        if block is None:
            continue
        rate = recording.rate
        if rate is None and block.times is not None and len(block.times) > 1:
            try:
                rate = rate_of(np.diff(block.times))
            except FileError as error:
                sample.faults[row.file] = str(error)
        sample.beginnings.append(Beginning(recording.channels, block.values, block.times, rate))
    return sample


def _rate(path: Path, sample: Sample) -> float:
    """Hz of most recordings that say it. Raises UserError if none does."""
    rates = np.array([beginning.rate for beginning in sample.beginnings if beginning.rate])
    if len(rates):
        alike = is_close(rates[:, None], rates)
        return float(f"{rates[alike.sum(1).argmax()]:.3g}")
    if sample.faults:
        file, reason = next(iter(sample.faults.items()))
        what = "says how many rows a second has" if sample.beginnings else "can be read"
        raise UserError(f"{path} holds no recording that {what}: {file} {reason}")
    names = sample.beginnings[-1].channels if sample.beginnings else ()
    rising = channels.rising(sample.beginnings)
    named = f"; if {rising[0]} is the time in seconds, call it time" if rising else ""
    table = "; if each row is an example of its own, store them as x_train (N, T, C) of an npz"
    raise UserError(
        f"{path} holds recordings that do not say how many rows a second has; add --rate 50, if "
        f"it is 50, or a column time, in seconds{named}{table if len(names) >= WIDE else ''}"
    )


def _uneven(sample: Sample, rows: int) -> list[float]:
    """Mean rates in Hz of recordings in which gaps leave no window of `rows`; [] if few are so.

    Hardly any time is missing from them: the clock is uneven, as that of a phone is, or single rows
    were lost.
    """
    rates = []
    for times in (
        beginning.times for beginning in sample.beginnings if beginning.times is not None
    ):
        steps = np.diff(times)
        if len(steps) < FEWEST_STEPS or not (middle := np.median(steps)) > 0:
            continue
        breaks = [-1, *np.flatnonzero(~is_no_gap(steps, middle)), len(steps)]
        duration = float(times[-1] - times[0])
        is_whole = 0 < duration <= MOST_MISSING * len(steps) * middle
        if is_whole and np.diff(breaks).max() < min(rows, len(times)):
            rates.append(len(steps) / duration)
    return rates if len(rates) > UNEVEN * len(sample.beginnings) else []
