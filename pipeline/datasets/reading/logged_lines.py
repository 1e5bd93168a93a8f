"""Lines of a table as loggers, serial monitors and NumPy write them, made lines of a CSV.

Comments are above the table, and one of them may be the names of the columns; spaces are between
columns; a serial monitor has put a time and `->` before each line, or a sketch the name of
each number, as in `ax:0.12 ay:0.98`; or a semicolon ends lines with commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from pipeline.datasets.reading.file_tree import FileError
from serving.recording import TIME

BEGINNING = 16  # lines that tell how all of them are written
COMMENT = re.compile(r"\s*(?:#|//|%\s)+\s*")
DELIMITERS = ";\t,"  # commas may be in numbers between the others
SENT = re.compile(r"(\d\d:\d\d:\d\d[.,]\d+)\s*->\s*(.*)")
NUMBER = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan|inf)", re.IGNORECASE)
NAMED = re.compile(
    rf"([^\W\d][^:=,;\t]{{0,40}}?)\s*[:=]\s*({NUMBER.pattern})(?:[,;\s]+|$)", re.IGNORECASE
)

Rewrite = Callable[[str], str]


def as_csv(lines: Iterator[str]) -> Iterator[str]:
    """The lines as a CSV has them; those of a CSV stay as they are. Raises FileError."""
    comments, first = [], next(lines, "")
    while first and (not first.strip() or COMMENT.match(first)):
        comments += [first] if first.strip() else []
        first = next(lines, "")
    if len(comments) == 1 and _is_header(comments[0], first):
        yield from chain(comments, [first], lines)
        return
    beginning = [first, *islice(lines, BEGINNING)]
    shown = [line.strip() for line in beginning if line.strip()]
    are_sent = bool(shown) and all(map(SENT.fullmatch, shown))
    rows = [_parted(line)[1].strip() for line in shown] if are_sent else shown
    rewrite = _rewrite(rows)
    cells = _cells(rewrite(rows[0])) if rows else []
    names = _names(rows) or _names_above(comments, cells)
    if names is None and are_sent:
        are_names = not any(map(_is_number, cells))
        names = cells if are_names else [str(number + 1) for number in range(len(cells))]
        beginning = beginning[1:] if are_names else beginning
    between = _delimiter(rewrite(rows[0]) if rows else "")
    if names:
        yield between.join([TIME, *names] if are_sent else names) + "\n"
    for line in chain(beginning, lines):
        time, row = _parted(line) if are_sent else ("", line)
        is_as_it_was = rewrite is _same or not row.strip()
        row = row if is_as_it_was else rewrite(row.strip()) + "\n"
        yield f"{time}{between}{row}" if time else row


def _is_header(comment: str, row: str) -> bool:
    """Whether a line is that of a CSV whose first column has a name such as `# x`."""
    delimiter = _delimiter(comment)
    cells = [cell.strip() for cell in row.split(delimiter)]
    is_as_wide = 1 < len(cells) == len(comment.split(delimiter))
    return is_as_wide and any(map(_is_number, cells))


def _parted(line: str) -> tuple[str, str]:
    """The time that a serial monitor put before a line, and what was sent. Raises FileError."""
    entry = SENT.fullmatch(line.strip())
    if line.strip() and not entry:
        raise FileError(f"has {line.strip()[:40]!r} among lines such as 09:00:00.020 -> 0.1,0.2")
    return (entry[1].replace(",", "."), f"{entry[2]}\n") if entry else ("", line)


def _names(rows: Sequence[str]) -> list[str] | None:
    """Those before each number; None if there are none."""
    if not rows or not all(map(_is_named, rows)):
        return None
    return [named[1] for named in NAMED.finditer(rows[0])]


def _names_above(comments: Sequence[str], cells: Sequence[str]) -> list[str] | None:
    """Those in the last comment that has one for each cell of the first row, which are numbers."""
    if any(map(_is_number, cells)):
        for comment in reversed(comments):
            names = _cells(COMMENT.sub("", comment, 1))
            if len(names) == len(cells) and not any(name[:1].isdigit() for name in names):
                return names
    return None


def _rewrite(rows: Sequence[str]) -> Rewrite:
    """How the cells of each row come between commas, if they are not between other signs."""
    text = "".join(rows)
    if names := _names(rows):
        return lambda row: ",".join(_numbers(row, names))
    if rows and " " in rows[-1] and not any(sign in text for sign in DELIMITERS):
        return lambda row: ",".join(row.split())
    if text.count(",") > text.count(";") and all(row.endswith(";") for row in rows):
        return lambda row: row.rstrip(";")
    return _same


def _same(row: str) -> str:
    return row


def _is_named(row: str) -> bool:
    return bool(row) and not NAMED.sub("", row)


def _numbers(row: str, names: Sequence[str]) -> list[str]:
    """Those of a row in which a name is before each. Raises FileError for other names."""
    numbers = {named[1]: named[2] for named in NAMED.finditer(row)}
    if not _is_named(row) or [*numbers] != [*names]:
        raise FileError(f"has {row[:40]!r} among lines with {', '.join(names)}")
    return [*numbers.values()]


def _is_number(cell: str) -> bool:
    return bool(NUMBER.fullmatch(cell.replace(",", ".")))


def _cells(row: str) -> list[str]:
    """Between semicolons, tabs or commas, or without any of them between spaces."""
    delimiter = _delimiter(row)
    return [cell.strip() for cell in (row.split(delimiter) if delimiter in row else row.split())]


def _delimiter(row: str) -> str:
    return next((sign for sign in DELIMITERS if sign in row), ",")
