"""What the recordings of a sensor share: their rate, their channels and how to cut them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.datasets import series_folder
from pipeline.datasets.reading import file_tree, recording_files
from pipeline.datasets.reading.file_tree import FileError
from pipeline.datasets.reading.label_columns import column_like
from pipeline.datasets.reading.recording_columns import LABELS
from pipeline.datasets.reading.recording_list import RecordingFile
from pipeline.datasets.reading.recording_windows import (
    Block,
    Recording,
    is_close,
    is_no_gap,
    rate_of,
)
from pipeline.files.artifacts import Array
from pipeline.planning import channels
from pipeline.planning.channels import Beginning, Seen
from pipeline.planning.data import Given
from pipeline.process.errors import UserError

SECONDS, FEWEST_ROWS = 2.0, 32  # of a window
LONGEST_EVENT = 5.0  # seconds of recordings that were cut to what they show
SHORT, LONG = 0.1, 0.95  # quantiles of the lengths
FASTEST = 1_000_000  # Hz of a sensor
SAMPLE = 200  # recordings that are looked at
WIDE = 20  # columns of numbers, from which a row may be an example
TABLE = (
    "if each row is an example of its own, store them as x_train of an npz: (N, T, 1) for T steps "
    "of a sensor, (N, 1, C) for C features"
)
UNEVEN = 0.2  # of the recordings, from which on their gaps are those of a clock
MOST_MISSING = 1.25  # of the time that the rows take, in a recording that lacks hardly any


@dataclass(frozen=True)
class Plan:
    """The values of `dataset`, why windows have their length, and what a person should know."""

    values: dict[str, object]
    reason: str
    remarks: list[str] = field(default_factory=list)


def plan(path: Path, given: Given) -> Plan:
    """The rate of the recordings, their channels and how to cut them. Raises UserError."""
    seen = _seen(path, given)
    _check_folders(path, seen)
    known = given.rate
    rate = known if known and seen.beginnings else _rate(path, seen)
    columns, remarks = channels.columns(seen)
    remarks += channels.like_labels(seen, columns)
    rows = max(round(SECONDS * rate), FEWEST_ROWS)
    uneven = _uneven(seen, rows)
    if uneven:
        rate = known or float(f"{np.median(uneven):.3g}")
        rows = max(round(SECONDS * rate), FEWEST_ROWS)
        remarks.append(
            "the clock is coarse or uneven, or rows were lost: gaps in time would leave "
            f"{len(uneven)} of {len(seen.beginnings)} recordings without a window, so their rows "
            f"count as even, {rate:g} a second (dataset.gaps); leave the column of times out on "
            "the device, too"
        )
    most = max(round(LONGEST_EVENT * rate), rows) + 1
    taken = columns or (seen.beginnings[0].channels if seen.beginnings else None)
    looked_at = [*islice(_lengths(path, most, taken, given), SAMPLE)] or [(0, True)]
    lengths = np.array([length for length, _ in looked_at])
    longest = int(np.quantile(lengths, LONG, method="higher"))
    are_events = longest <= LONGEST_EVENT * rate and all(has_one for _, has_one in looked_at)
    reason = "a window; what you look for should fit into it"
    if are_events and len(lengths) > 1 and lengths.min() == longest:
        rows, reason = longest, "all of a recording, as they are of one length"
    elif (short := int(np.quantile(lengths, SHORT, method="lower"))) < rows:
        rows = max(longest if are_events else short, 2)
        how_many = "only one of twenty is longer" if are_events else "nine of ten are as long"
        reason = f"{how_many}; a shorter recording is held at its last row"
    seconds = float(f"{rows / rate:.6g}")
    cut: dict[str, object] = {"rate": rate, "seconds": seconds, "step": seconds / 2}
    cut |= {"gaps": "ignore"} if uneven else {}
    return Plan({**cut, **({"columns": columns} if columns else {})}, reason, remarks)


def _lengths(
    path: Path, most: int, taken: Sequence[str] | None, given: Given
) -> Iterator[tuple[int, bool]]:
    """The rows of each recording, of which at most about `most` are read; has it one label?

    Or one number, if that is to be predicted.
    """
    columns = LABELS if given.number is None else (given.number,)
    for row, recording in _recordings(path, {}, taken, given):
        count, labels = 0, 0
        for block in recording.blocks:
            count += len(block.values)
            labels += sum(name in block.text for name in columns)
            if count >= most:
                break
        yield min(count, most), row.spans is None and not labels


def _recordings(
    path: Path, faults: dict[str, str], taken: Sequence[str] | None, given: Given
) -> Iterator[tuple[RecordingFile, Recording]]:
    """All that can be read, or of them the channels `taken`; `faults` has why others cannot."""
    with series_folder.opened(path, given.labels, given.number) as (rows, open_file, _):
        for row in rows:
            try:
                with open_file(row.file) as file:
                    for recording in recording_files.recordings(file, row.file, taken):
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


def _seen(path: Path, given: Given) -> Seen:
    """The beginnings of SAMPLE recordings, without the number to predict."""
    seen = Seen()
    for row, recording in islice(_recordings(path, seen.faults, None, given), SAMPLE):
        block = next(iter(recording.blocks), None)
        if block is None:
            continue
        rate = recording.rate
        if rate is None and block.times is not None and len(block.times) > 1:
            try:
                rate = rate_of(np.diff(block.times))
            except FileError as error:
                rate = _coarse_rate(block.times)
                if rate is None:
                    seen.faults[row.file] = str(error)
        predicted = given.number and column_like(recording.channels, given.number)
        kept = [at for at, name in enumerate(recording.channels) if name != predicted]
        names = tuple(recording.channels[at] for at in kept)
        seen.beginnings.append(Beginning(row, names, block.values[:, kept], block.times, rate))
    seen.keep_usual()
    return seen


def _coarse_rate(times: Array) -> float | None:
    """Hz of rows whose times are rounded to whole seconds, so that several have the same."""
    steps = np.diff(times)
    changes = np.flatnonzero(steps > 0)
    if len(changes) < 2 or not (steps >= 0).all() or (steps % 1).any():
        return None
    first, last = changes[0], changes[-1]
    return float((last - first) / (times[last] - times[first]))


def _check_folders(path: Path, seen: Seen) -> None:
    """Raises UserError for folders of a recording each, in which sensors have the same columns."""
    files: dict[tuple[str, tuple[str, ...]], str] = {}
    for part in (begun for begun in seen.beginnings if begun.row.is_in_own_folder):
        folder, _ = file_tree.split(part.row.file)
        other = files.setdefault((folder, part.channels), part.row.file)
        if other != part.row.file:
            raise UserError(
                f"{path} has a folder for each recording, and in it several files with the same "
                f"columns, such as {other} and {part.row.file}; expected one: join sensors by "
                "their times into one table, or keep the files of one sensor"
            )


def _rate(path: Path, seen: Seen) -> float:
    """Hz of most recordings that say it. Raises UserError if none does."""
    rates = np.array([beginning.rate for beginning in seen.beginnings if beginning.rate])
    if len(rates):
        alike = is_close(rates[:, None], rates)
        rate = float(f"{rates[alike.sum(1).argmax()]:.3g}")
        if rate > FASTEST:
            raise UserError(
                f"{path} holds recordings of {rate:,.0f} rows a second by their times, in seconds; "
                f"expected at most {FASTEST:,}: multiply times in days, as of Excel, by 86,400"
            )
        return rate
    if seen.faults:
        file, reason = next(iter(seen.faults.items()))
        what = "says how many rows a second has" if seen.beginnings else "can be read"
        raise UserError(f"{path} holds no recording that {what}: {file} {reason}")
    names = seen.beginnings[-1].channels if seen.beginnings else ()
    is_table = len(names) >= WIDE or len(seen.beginnings) == 1
    rising = channels.rising(seen)
    named = f"; if {rising[0]} is the time in seconds, call it time" if rising else ""
    raise UserError(
        f"{path} holds recordings that do not say how many rows a second has; add --rate 50, if "
        f"it is 50, or a column time, in seconds{named}{f'; {TABLE}' if is_table else ''}"
    )


def _uneven(seen: Seen, rows: int) -> list[float]:
    """Mean rates in Hz of recordings in which gaps leave no window of `rows`; [] if few are so.

    Hardly any time is missing from them: the clock is uneven, as that of a phone is, or single rows
    were lost.
    """
    rates: list[float] = []
    for times in (part.times for part in seen.beginnings if part.times is not None):
        steps = np.diff(times)
        if len(steps) < channels.FEWEST_STEPS:
            continue
        if not (middle := np.median(steps)) > 0:
            rates += filter(None, [_coarse_rate(times)])
            continue
        breaks = [-1, *np.flatnonzero(~is_no_gap(steps, middle)), len(steps)]
        duration = float(times[-1] - times[0])
        is_whole = 0 < duration <= MOST_MISSING * len(steps) * middle
        if is_whole and np.diff(breaks).max() < min(rows, len(times)):
            rates.append(len(steps) / duration)
    return rates if len(rates) > UNEVEN * len(seen.beginnings) else []
