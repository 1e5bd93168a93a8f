"""The recordings in a CSV of a sensor: what its columns are, and its rows a block at a time."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from typing import IO, Any, NamedTuple

import numpy as np

from pipeline.datasets.reading import logged_lines, recording_columns
from pipeline.datasets.reading.file_tree import FileError
from pipeline.datasets.reading.recording_windows import (
    Block,
    Recording,
    check_channels,
    float32_or_nan,
)
from serving.recording import TIME, cells

BLOCK = 4096  # rows
BEGINNING = 8  # lines below the names of the columns, blank ones included
LONGEST_LINE = 2**16  # characters
SHOWN = 40  # characters of a cell, in messages

Row = list[str]


class Line(NamedTuple):
    """A row with its number in the file, from 1, and that of the recording that it is in."""

    number: int
    row: Row
    recording: int


def recordings(text: IO[str], channels: Sequence[str] | None) -> Iterator[Recording]:
    """As `recording_files.recordings`. Raises FileError."""
    lines = logged_lines.as_csv(_lines(text))
    first = next(lines, "")
    rows: Iterator[Row] = cells(first, lines)
    names = [cell.strip() for cell in next(filter(None, rows), [])]
    beginning = list(islice(rows, BEGINNING))
    start = [row for row in beginning if row][:2]
    if not start:
        raise FileError("holds no rows")
    # Or else some program ends each row with two line ends
    are_apart = any(beginning[::2]) and any(beginning[1::2])
    rows = chain(beginning, rows)
    if all(map(_is_number, names)) and not _are_counted(names):  # it has no names
        rows, numbered = chain([names], rows), [str(number + 1) for number in range(len(names))]
        fits = channels is not None and len(channels) == len(names)
        names = list(channels) if channels is not None and fits else numbered
    if len(set(names)) < len(names):
        raise FileError("names a column twice in its first line")
    columns = _Columns.of(names, start, channels)
    for number, run in enumerate(
        columns.runs(_whole(rows, len(names), are_apart and columns.clock is None))
    ):
        yield Recording(columns.channels, columns.blocks(run), number or None)


def _whole(rows: Iterator[Row], count: int, are_apart: bool) -> Iterator[Line]:
    """The rows that are not blank; if recordings `are_apart`, blank ones are between them.

    Raises FileError for a row without `count` cells.
    """
    number = recording = 0
    for row in rows:
        if not row:
            recording += are_apart
            continue
        number += 1
        if len(row) != count:
            raise FileError(
                f"has {len(row)} cells in row {number}; expected {count}, as in its first line"
            )
        yield Line(number, row, recording)


def _lines(text: IO[str]) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise FileError(f"has a line of more than {LONGEST_LINE:,} characters")
        yield line


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _are_counted(names: Row) -> bool:
    """Whether columns are called 0, 1, 2 or 1, 2, 3 and so on, as pandas calls those without names.

    With less than three they may as well be a row of numbers.
    """
    called = [name for name in names if name]
    counts = [[str(first + place) for place in range(len(called))] for first in (0, 1)]
    return len(called) >= 3 and called in counts


def _of_numbers(names: Row, cells: Row) -> list[str]:
    return [
        name
        for name, cell in zip(names, map(str.strip, cells), strict=False)
        if _is_number(cell) and recording_columns.is_channel(name, cell)
    ]


@dataclass(frozen=True)
class _Columns:
    """What the columns of a CSV are: `parts` are those that change where a recording begins."""

    names: Row
    channels: tuple[str, ...]
    clock: recording_columns.Clock | None
    parts: list[int]

    @classmethod
    def of(cls, header: Row, start: list[Row], channels: Sequence[str] | None) -> _Columns:
        """Of the names in the `header` and the first rows. Raises FileError."""
        shown = dict(zip(header, map(str.strip, start[0]), strict=False))
        names = recording_columns.canonical(header, shown, channels or ())
        is_named = channels or {TIME, *recording_columns.CERTAIN} & set(names)
        if not is_named and any("." in name and _is_number(name) for name in header):
            raise FileError(
                f"has {', '.join(header)[:SHOWN]!r} in its first line; expected the names of the "
                "columns there, such as person,label,time,x,y,z"
            )
        taken = tuple(channels or _of_numbers(names, start[0]))
        if not taken and any(_is_number(cell.replace(",", ".")) for cell in shown.values()):
            raise FileError("has decimal commas between commas; expected decimal points")
        if not taken:
            raise FileError(
                f"has {', '.join(start[0])[:SHOWN]!r} below its first line; expected names there, "
                "between commas, semicolons or tabs, and numbers from the second line on, without "
                "comments or units"
            )
        check_channels(taken, names)
        clock = None
        if TIME in names and TIME not in taken:
            name = header[names.index(TIME)]
            clock = recording_columns.clock(name, shown.get(name, "")) or float
        parts = [
            place
            for place, name in enumerate(names)
            if recording_columns.begins_recordings(name)
            and name not in taken
            and len({row[place] for row in start if len(row) == len(names)}) == 1
        ]
        return cls(names, taken, clock, parts)

    def runs(self, lines: Iterator[Line]) -> Iterator[Iterator[Line]]:
        """The rows of each recording."""
        if not self.parts:
            return (run for _, run in groupby(lines, operator.attrgetter("recording")))
        key = operator.itemgetter(*self.parts)
        return (run for _, run in groupby(lines, lambda line: (line.recording, key(line.row))))

    def blocks(self, lines: Iterator[Line]) -> Iterator[Block]:
        places = [self.names.index(name) for name in self.channels]
        known = (TIME, *self.channels)
        others = {name: at for at, name in enumerate(self.names) if name not in known}
        while part := list(islice(lines, BLOCK)):
            table = [line.row for line in part]
            times = self._times(part)
            yield Block(
                part[0].number - 1,
                float32_or_nan(_numbers(part, places, self.names)),
                times,
                {name: [row[place].strip() for row in table] for name, place in others.items()},
            )

    def _times(self, lines: list[Line]) -> Any | None:
        """Seconds (B,) float64. Raises FileError."""
        if self.clock is None:
            return None
        return _numbers(lines, [self.names.index(TIME)], self.names, self.clock)[:, 0]


def _numbers(
    lines: list[Line], places: list[int], names: Row, read: recording_columns.Clock = float
) -> Any:
    """The cells in these places (B, P) float64; an empty one is NaN. Raises FileError."""
    try:
        return np.array([[read(line.row[at] or "nan") for at in places] for line in lines])
    except ValueError:
        cells = [
            _read(read, line.number, line.row[at], names[at]) for line in lines for at in places
        ]
        return np.array(cells).reshape(len(lines), -1)


def _read(read: recording_columns.Clock, number: int, cell: str, name: str) -> float:
    try:
        return read(cell.strip() or "nan")
    except ValueError:
        expected = (
            "a number, or an empty cell for a missing value"
            if read is float
            else "a time as in the rows before it"
        )
        if name == TIME and read is float:
            expected = "seconds, or a date such as 2024-03-01T09:00:00.250"
        if _is_number(cell.strip().replace(",", ".")):
            expected = "a decimal point instead of the comma"
        raise FileError(
            f"has {cell[:SHOWN]!r} in row {number} of column {name}; expected {expected}"
        ) from None
