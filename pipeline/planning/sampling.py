"""What the recordings of a sensor share: their rate, their channels and how to cut them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.datasets import _recording_files, series_folder
from pipeline.datasets._recording_columns import LABELS
from pipeline.datasets._recording_list import RecordingFile
from pipeline.datasets._tree import FileError
from pipeline.datasets._windows import Block, Recording, is_close, is_no_gap, rate_of
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError

SECONDS, FEWEST_ROWS = 2.0, 32  # of a window
LONGEST_EVENT = 5.0  # seconds of recordings that were cut to what they show
SHORT, LONG = 0.1, 0.95  # quantiles of the lengths
SAMPLE = 200  # recordings that are looked at
WIDE = 20  # columns of numbers, from which a row may be an example
UNEVEN = 0.2  # of the recordings, from which on their gaps are those of a clock
MOST_LABELS, RARELY = 30, 0.05  # numbers in a column like that of labels; share of the rows
# The name of a channel that may be a time or a counter, or is none
COUNTER = re.compile(r"\d+|t|ms|us|ts|index|idx|row|tick|counter|count|sample|frame|nr|id|#", re.I)
MOST_MISSING = 1.25  # of the time that the rows take, in a recording that lacks hardly any
FEWEST_RECORDINGS = 3  # in which a first column never falls
FEWEST_STEPS = 8  # rows, after which a column may be known for a time or a row number


@dataclass(frozen=True)
class Plan:
    """The values of `dataset`, why windows have their length, and what a person should know."""

    values: dict[str, object]
    reason: str
    remarks: list[str] = field(default_factory=list)


class Beginning(NamedTuple):
    """Of a recording: values (B, C) and times (B,) of its first block, and its rate in Hz.

    Times and rate are None if it does not say them.
    """

    channels: tuple[str, ...]
    values: Array
    times: Array | None
    rate: float | None


@dataclass
class Seen:
    """The beginnings of recordings, and why others cannot be read."""

    beginnings: list[Beginning] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)


def plan(path: Path, rate: float | None) -> Plan:
    """The rate of the recordings, their channels and how to cut them. Raises UserError."""
    seen = _seen(path)
    known, rate = rate, rate if rate and seen.beginnings else _rate(path, seen)
    columns, remarks = _columns(seen)
    remarks += _like_labels(seen, columns)
    rows = max(round(SECONDS * rate), FEWEST_ROWS)
    uneven = _uneven(seen, rows)
    if uneven:
        rate = known or float(f"{np.median(uneven):.3g}")
        rows = max(round(SECONDS * rate), FEWEST_ROWS)
        remarks.append(
            f"the clock is uneven, or rows were lost: gaps in time would leave {len(uneven)} of "
            f"{len(seen.beginnings)} recordings without a window, so their rows count as even, "
            f"{rate:g} a second (dataset.gaps); leave the column of times out on the device, too"
        )
    most = max(round(LONGEST_EVENT * rate), rows) + 1
    looked_at = [*islice(_lengths(path, most), SAMPLE)] or [(0, True)]
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


def _seen(path: Path) -> Seen:
    """The beginnings of SAMPLE recordings."""
    seen = Seen()
    for row, recording in islice(_recordings(path, seen.faults), SAMPLE):
        block = next(iter(recording.blocks), None)
        if block is None:
            continue
        rate = recording.rate
        if rate is None and block.times is not None and len(block.times) > 1:
            try:
                rate = rate_of(np.diff(block.times))
            except FileError as error:
                seen.faults[row.file] = str(error)
        seen.beginnings.append(Beginning(recording.channels, block.values, block.times, rate))
    return seen


def _rate(path: Path, seen: Seen) -> float:
    """Hz of most recordings that say it. Raises UserError if none does."""
    rates = np.array([beginning.rate for beginning in seen.beginnings if beginning.rate])
    if len(rates):
        alike = is_close(rates[:, None], rates)
        return float(f"{rates[alike.sum(1).argmax()]:.3g}")
    if seen.faults:
        file, reason = next(iter(seen.faults.items()))
        what = "says how many rows a second has" if seen.beginnings else "can be read"
        raise UserError(f"{path} holds no recording that {what}: {file} {reason}")
    channels = seen.beginnings[-1].channels if seen.beginnings else ()
    rising = _rising(seen)
    named = f"; if {rising[0]} is the time in seconds, call it time" if rising else ""
    table = "; if each row is an example of its own, store them as x_train (N, T, C) of an npz"
    raise UserError(
        f"{path} holds recordings that do not say how many rows a second has; add --rate 50, if "
        f"it is 50, or a column time, in seconds{named}{table if len(channels) >= WIDE else ''}"
    )


def _uneven(seen: Seen, rows: int) -> list[float]:
    """Mean rates in Hz of recordings in which gaps leave no window of `rows`; [] if few are so.

    Hardly any time is missing from them: the clock is uneven, as that of a phone is, or single rows
    were lost.
    """
    rates = []
    for times in (beginning.times for beginning in seen.beginnings if beginning.times is not None):
        steps = np.diff(times)
        if len(steps) < FEWEST_STEPS or not (middle := np.median(steps)) > 0:
            continue
        breaks = [-1, *np.flatnonzero(~is_no_gap(steps, middle)), len(steps)]
        duration = float(times[-1] - times[0])
        is_whole = 0 < duration <= MOST_MISSING * len(steps) * middle
        if is_whole and np.diff(breaks).max() < min(rows, len(times)):
            rates.append(len(steps) / duration)
    return rates if len(rates) > UNEVEN * len(seen.beginnings) else []


def _columns(seen: Seen) -> tuple[list[str], list[str]]:
    """The value of `dataset.columns` if not all are channels, else none; and why."""
    rising, codes, rare = _rising(seen), _codes(seen), _rare(seen)
    left = {*rising, *codes, *rare}
    columns = [name for name in seen.beginnings[0].channels if name not in left] if left else []
    if not columns:
        return [], []
    remarks = []
    if rising:
        remarks.append(
            f"no channel, as it rises in each recording like a time or a row number: "
            f"{', '.join(rising)}"
        )
    if codes:
        remarks.append(
            "no channel, as it is one whole number in each recording, like that of a label or a "
            f"person: {', '.join(codes)}; call such a column label or person"
        )
    if rare:
        remarks.append(f"no channel, as not all recordings have it: {', '.join(rare)}")
    return columns, remarks


def _rising(seen: Seen) -> list[str]:
    """The channels that rise in each recording as only a time or a counter does.

    Their steps are about the same, or in proportion to those of the times; or without times, the
    first of them never falls, and its name is that of a time or a counter, or it has none.
    """

    def rises(part: Beginning) -> Array:
        steps = np.diff(part.values, axis=0)
        result = _are_alike(steps)
        if part.times is not None:
            intervals = np.diff(part.times)[:, None]
            result |= (intervals > 0).all() and _are_alike(steps / np.maximum(intervals, 1e-9))
        elif len(seen.beginnings) >= FEWEST_RECORDINGS and COUNTER.fullmatch(part.channels[0]):
            result[0] |= (steps[:, 0] >= 0).all() and (steps[:, 0] > 0).mean() > 0.5
        return result

    return _of_all(seen, rises)


def _are_alike(steps: Array) -> Array:
    """Whether each column (N, C) of steps rises, and by about the same everywhere."""
    middle = np.median(steps, axis=0)
    alike: Array = (middle > 0) & (np.abs(steps - middle) < middle / 2).all(0)
    return alike


def _codes(seen: Seen) -> list[str]:
    """The channels that hold one whole number throughout each recording, and not the same one."""

    def is_code(part: Beginning) -> Array:
        values = part.values
        result: Array = (values == values[:1]).all(0) & (values[0] % 1 == 0)
        return result

    codes = {
        name: {float(part.values[0, part.channels.index(name)]) for part in _alike(seen)}
        for name in _of_all(seen, is_code)
    }
    return [name for name, numbers in codes.items() if len(numbers) > 1]


def _like_labels(seen: Seen, columns: list[str]) -> list[str]:
    """What to do about channels that may be labels: few whole numbers, which change rarely."""
    alike, remarks = _alike(seen), []
    for at, name in enumerate(alike[0].channels if alike else ()):
        changes = np.mean([(np.diff(part.values[:, at]) != 0).mean() for part in alike])
        values = np.unique(np.concatenate([part.values[:, at] for part in alike]))
        is_whole = 1 < len(values) <= MOST_LABELS and (values % 1 == 0).all()
        if is_whole and changes < RARELY and (not columns or name in columns):
            remarks.append(
                f"{name} holds {len(values)} whole numbers that change rarely, as labels do; if it "
                "is the label, call the column label, in the first line"
            )
    return remarks


def _of_all(seen: Seen, holds: Callable[[Beginning], Array]) -> list[str]:
    """The channels of which `holds` is true in all recordings of some length."""
    alike = _alike(seen)
    if not alike:
        return []
    in_all = np.all([holds(part) for part in alike], axis=0)
    return [name for name, is_held in zip(alike[0].channels, in_all, strict=True) if is_held]


def _alike(seen: Seen) -> list[Beginning]:
    """Those with the channels of the first, and enough rows to tell."""
    long = [part for part in seen.beginnings if len(part.values) >= FEWEST_STEPS]
    return [part for part in long if part.channels == seen.beginnings[0].channels]


def _rare(seen: Seen) -> list[str]:
    """The channels of the first recording that others lack; none if they share no channel."""
    counts = Counter(name for part in seen.beginnings for name in set(part.channels))
    first = seen.beginnings[0].channels if seen.beginnings else ()
    rare = [name for name in first if counts[name] < len(seen.beginnings)]
    return rare if len(rare) < len(first) else []
