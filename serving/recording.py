"""Windows of a recording: a CSV with a column for each channel."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Deque, Iterable, Iterator, List, Tuple, Union

import numpy as np

from serving.errors import InputError, reason
from serving.typed_json import expect

TIME = "time"  # optional column, in seconds
GAP, TOLERANCE = 1.5, 0.05  # intervals; of the rate
DECIMAL = re.compile(r"\s*[-+]?\d*([.,])\d+(?:e[-+]?\d+)?\s*", re.IGNORECASE)
SWAPPED = str.maketrans(",.", ".,")


@dataclass(frozen=True)
class Sampling:
    """Of a model: rate in Hz, rows from one window to the next, and the channels."""

    rate: float
    step: int
    channels: Tuple[str, ...]

    def __post_init__(self) -> None:
        fits = 0 < self.rate <= 1e6 and self.step >= 1
        expect(fits, f"rate is {self.rate} and step {self.step}, expected above 0")

    def windows(
        self, source: Union[Path, bytes], name: str, length: int
    ) -> Iterator[Tuple[str, Any]]:
        """The windows (length, C) float32 of a file, named by their first second.

        A gap is in none. A shorter file without a gap has one, held at its last row. Raises
        InputError.
        """
        start = -1
        try:
            with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
                text = io.TextIOWrapper(file, "utf-8-sig", newline="")
                lines = iter(lambda: text.readline(1 << 17), "")
                for start, values in self._cut(lines, length):
                    yield f"{name} {start / self.rate:.2f} s", values
        except (OSError, ValueError, csv.Error) as error:
            raise InputError(f"{name} is not a recording: {reason(error)}") from None
        if start < 0:
            raise InputError(f"{name} has no window of {length} rows that follow each other")

    def _cut(self, lines: Iterable[str], length: int) -> Iterator[Tuple[int, Any]]:
        recent: Deque[List[float]] = deque(maxlen=length)
        due, before, number = length, 0.0, -1
        for number, row in enumerate(self._rows(lines)):
            is_whole = all(abs(value) < 3.4e38 for value in row[1:])
            if not is_whole or not 0 < (row[0] - before) * self.rate <= GAP:
                recent.clear()
                due = length
            before = row[0]
            if not is_whole:
                continue
            recent.append(row)
            due -= 1
            if not due:
                yield number - length + 1, self._window(recent, length)
                due = self.step
        if 2 <= len(recent) == number + 1 < length:
            yield 0, self._window(recent, length)

    def _window(self, rows: Deque[List[float]], length: int) -> Any:
        rate = (len(rows) - 1) / max(rows[-1][0] - rows[0][0], 1e-9)
        fits = abs(rate / self.rate - 1) <= TOLERANCE
        expect(fits, f"{rate:.4g} Hz by its column time; expected {self.rate:g}")
        values = np.array(rows, np.float32)[:, 1:]
        return np.pad(values, ((0, length - len(rows)), (0, 0)), "edge")

    def _rows(self, lines: Iterable[str]) -> Iterator[List[float]]:
        first = next(iter(lines), "")
        table = cells(first, lines)
        names = [cell.strip() for cell in next(table, [])]
        if len(names) == len(self.channels) and not any(map(_is_name, names)):
            table, names = chain([names], table), list(self.channels)
        missing = [name for name in self.channels if name not in names]
        expect(not missing, f"no column {', '.join(missing)[:99]}")
        timed = [TIME] if TIME in names else []
        places = [names.index(name) for name in [*timed, *self.channels]]
        for number, row in enumerate(filter(None, table)):
            expect(len(row) == len(names), f"row {number + 1} has {len(row)} cells")
            try:
                values = [float(row[place].strip() or "nan") for place in places]
            except ValueError as error:
                raise ValueError(f"row {number + 1}: {error}; expected a number") from None
            yield values if timed else [number / self.rate, *values]


def cells(first: str, lines: Iterable[str]) -> Iterator[List[str]]:
    """The rows of a CSV, between commas, semicolons or tabs, as its `first` line tells.

    Between the last two, numbers may have decimal commas, which become points. The first number
    with either tells; the other sign then makes a cell no number, for it may separate thousands.
    """
    delimiter = max(",;\t", key=first.count)
    table = csv.reader(chain([first], lines), delimiter=delimiter)
    return table if delimiter == "," else _with_points(table)


def _with_points(table: Iterable[List[str]]) -> Iterator[List[str]]:
    sign = None
    for row in table:
        if sign != ".":
            numbers = [DECIMAL.fullmatch(cell) for cell in row]
            sign = sign or next((number[1] for number in numbers if number), None)
            if sign == ",":
                pairs = zip(row, numbers)
                yield [cell.translate(SWAPPED) if number else cell for cell, number in pairs]
                continue
        yield row


def _is_name(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return True
    return False
