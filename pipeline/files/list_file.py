"""A CSV that a person made, in a spreadsheet or with another program: files, labels, decisions."""

from __future__ import annotations

import csv
import io
from itertools import chain, islice, repeat
from typing import NamedTuple

from pipeline.process.errors import UserError


class ListFile(NamedTuple):
    """The names of the columns, and the cells of each row: as many as there are columns."""

    columns: list[str]
    rows: list[list[str]]


def read(path: object, data: bytes) -> ListFile:
    """The list with this content. Raises UserError."""
    try:
        text = _without_hint(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8; save it as CSV in UTF-8") from None
    reader = csv.reader(_lines(text), delimiter=_delimiter(text))
    try:
        lines = [line for line in reader if any(map(str.strip, line))]
    except csv.Error as error:
        raise UserError(f"line {reader.line_num} of {path} is not CSV: {error}") from None
    columns, rows = (list(map(str.strip, lines[0])), lines[1:]) if lines else ([], [])
    for number, row in enumerate(rows, 2):
        if len(row) != len(columns):
            raise UserError(f"row {number} of {path} has more or fewer cells than the header")
    return ListFile(columns, rows)


def first_row(start: bytes) -> dict[str, str]:
    """The first cell of each column in a list that starts with these bytes; none if it is no CSV.

    Cells that lie behind them are empty.
    """
    text = _without_hint(start.decode("utf-8-sig", "replace"))
    reader = csv.reader(_lines(text), delimiter=_delimiter(text))
    try:
        lines = [map(str.strip, line) for line in islice(filter(None, reader), 2)]
    except csv.Error:
        return {}
    names, cells = [*lines, (), ()][:2]
    return dict(zip(names, chain(cells, repeat("")), strict=False))


def _without_hint(text: str) -> str:
    """The text below a line such as `sep=;`, which tells Excel the delimiter."""
    first, _, rest = text.partition("\n")
    return rest if first.strip().lower() in ("sep=,", "sep=;", "sep=") else text


def _delimiter(text: str) -> str:
    return max(",;\t", key=text.partition("\n")[0].count)


def _lines(text: str) -> io.StringIO:
    return io.StringIO(text, newline=None)  # lines may end as on any system
