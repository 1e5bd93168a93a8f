"""The recordings in a file of a sensor, read a block at a time.

A CSV has a column for each channel, named in its first line, and optionally a column `time` in
seconds. An npz has an array `signal` (T, C), and optionally `channels`, `rate` in Hz, `time` (T,)
and, of several recordings one after the other, the `length` of each. Any other column, or array
with an entry for each row or recording, is text about them.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice, pairwise
from typing import IO, Any

import numpy as np

from pipeline.datasets._windows import Block, Recording, RecordingError
from serving.errors import reason
from serving.recording import TIME

SUFFIXES = (".csv", ".npz")
LABELS = ("label", "class")
BLOCK = 4096  # rows
LONGEST_LINE = 2**16  # characters
LARGEST_NPZ = 2**30  # bytes, unpacked
MOST_CHANNELS = 1024
SHOWN = 40  # characters of a cell, in messages

Row = list[str]


def recordings(
    file: IO[bytes], name: str, channels: Sequence[str] | None = None
) -> Iterator[Recording]:
    """The recordings in a file of this name. Raises RecordingError, also while they are read.

    Without `channels` all columns of numbers are channels, but for `time`, `label` and `class`.
    """
    with _damage():
        for recording in (
            _npz(file, channels) if name.lower().endswith(".npz") else _csv(file, channels)
        ):
            recording.blocks = _guarded(recording.blocks)
            yield recording


def _guarded(blocks: Iterator[Block]) -> Iterator[Block]:
    with _damage():
        yield from blocks


@contextmanager
def _damage() -> Iterator[None]:
    """Raises RecordingError for whatever csv, zipfile and NumPy raise on damaged files."""
    try:
        yield
    except RecordingError:
        raise
    except UnicodeDecodeError:
        raise RecordingError("is not a CSV in UTF-8") from None
    except Exception as error:
        raise RecordingError(f"cannot be read: {reason(error)}") from None


def _csv(file: IO[bytes], channels: Sequence[str] | None) -> Iterator[Recording]:
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        yield _table(_lines(text), channels)
    finally:
        with suppress(ValueError):  # the caller has closed the file
            text.detach()  # it is the caller's to close


def _table(lines: Iterator[str], channels: Sequence[str] | None) -> Recording:
    first = next(lines, "")
    delimiter = max(",;\t", key=first.count)
    rows: Iterator[Row] = (
        row for row in csv.reader(chain([first], lines), delimiter=delimiter) if row
    )
    names, second = [cell.strip() for cell in next(rows, [])], next(rows, None)
    if second is None:
        raise RecordingError("holds no rows")
    rows = chain([second], rows)
    if all(map(_is_number, names)):  # it has no names
        rows, numbered = chain([names], rows), [str(number + 1) for number in range(len(names))]
        fits = channels is not None and len(channels) == len(names)
        names = list(channels) if channels is not None and fits else numbered
    if len(set(names)) < len(names):
        raise RecordingError("names a column twice in its first line")
    taken = tuple(channels or _of_numbers(names, second))
    _check_channels(taken, names)
    return Recording(taken, _csv_blocks(rows, names, taken))


def _lines(text: IO[str]) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise RecordingError(f"has a line of more than {LONGEST_LINE:,} characters")
        yield line


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _of_numbers(names: Row, cells: Row) -> list[str]:
    numbers = [name for name, cell in zip(names, cells, strict=False) if _is_number(cell.strip())]
    return [name for name in numbers if name not in (TIME, *LABELS)]


def _check_channels(channels: Sequence[str], names: Sequence[str]) -> None:
    if missing := [name for name in channels if name not in names]:
        raise RecordingError(
            f"has no column {missing[0]}; its columns are {', '.join(names)[:200]}"
        )
    if not 1 <= len(channels) <= MOST_CHANNELS:
        raise RecordingError(
            f"has {len(channels)} columns of numbers; expected 1 to {MOST_CHANNELS}"
        )


def _csv_blocks(rows: Iterator[Row], names: Row, channels: Sequence[str]) -> Iterator[Block]:
    places = [names.index(name) for name in channels]
    time = names.index(TIME) if TIME in names and TIME not in channels else None
    others = {name: names.index(name) for name in names if name not in (TIME, *channels)}
    start = 0
    while part := list(islice(rows, BLOCK)):
        for number, row in enumerate(part, start + 1):
            if len(row) != len(names):
                raise RecordingError(
                    f"has {len(row)} cells in row {number}; expected {len(names)}, as in its first "
                    "line"
                )
        table = _numbers(part, places + ([] if time is None else [time]), names, start)
        yield Block(
            start,
            _finite(table[:, : len(places)]),
            None if time is None else table[:, -1],
            {name: [row[place].strip() for row in part] for name, place in others.items()},
        )
        start += len(part)


def _numbers(rows: list[Row], places: list[int], names: Row, start: int) -> Any:
    """The cells in these places (B, P) float64; an empty one is NaN. Raises RecordingError."""
    try:
        return np.array([[float(row[place] or "nan") for place in places] for row in rows])
    except ValueError:
        for number, row in enumerate(rows, start + 1):
            for place in places:
                if not _is_number(row[place].strip()):
                    raise RecordingError(
                        f"has {row[place][:SHOWN]!r} in row {number} of column {names[place]}; "
                        "expected a number"
                    ) from None
        return np.array([[float(row[place].strip() or "nan") for place in places] for row in rows])


def _finite(values: Any) -> Any:
    """As float32; NaN in place of what it cannot hold."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.asarray(values).astype(np.float32)
    return np.where(np.isfinite(result), result, np.float32(np.nan))


def _npz(file: IO[bytes], channels: Sequence[str] | None) -> Iterator[Recording]:
    if not zipfile.is_zipfile(file):
        raise RecordingError("is not an npz file")
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        size = sum(entry.file_size for entry in archive.zip.infolist())
        if size > LARGEST_NPZ:
            raise RecordingError(f"unpacks to {size:,} bytes; expected at most {LARGEST_NPZ:,}")
        arrays = {key: archive[key] for key in archive.files}
    signal = arrays.pop("signal", None)
    if signal is None or signal.ndim not in (1, 2) or signal.dtype.kind not in "fiu":
        raise RecordingError("has no array signal (T, C) of numbers")
    if not len(signal):
        raise RecordingError("holds no rows")
    signal = signal.reshape(len(signal), -1)
    numbered = [str(number + 1) for number in range(signal.shape[1])]
    names = arrays.pop("channels", np.array(numbered)).astype(str).tolist()
    taken = tuple(channels or names)
    if len(names) != signal.shape[1]:
        raise RecordingError(f"names {len(names)} channels and has {signal.shape[1]}")
    _check_channels(taken, names)
    places = [names.index(name) for name in taken]
    rate = _rate(arrays)
    classes, is_one = arrays.pop("classes", None), "length" not in arrays
    if classes is not None and arrays.get("label", classes).dtype.kind in "iu":
        arrays["label"] = np.asarray(classes)[arrays["label"]]
    lengths = arrays.pop("length", np.array([len(signal)])).astype(np.int64).ravel()
    if lengths.min(initial=0) < 0 or lengths.sum() != len(signal):
        raise RecordingError(
            f"holds {len(signal):,} rows, and its lengths add up to {lengths.sum():,}"
        )
    ends = np.cumsum(lengths).tolist()
    for number, (start, end) in enumerate(pairwise([0, *ends])):
        columns, rows = _columns(arrays, number, (start, end), len(lengths), len(signal))
        times = rows.pop(TIME, None)
        blocks = _npz_blocks(signal[start:end][:, places], times, rows)
        yield Recording(taken, blocks, None if is_one else number, rate, columns)


def _rate(arrays: dict[str, Any]) -> float | None:
    rates = [arrays.pop(key) for key in ("rate", "rate_hz") if key in arrays]
    return float(np.asarray(rates[0]).ravel()[0]) if rates else None


def _columns(
    arrays: dict[str, Any], number: int, rows: tuple[int, int], count: int, total: int
) -> tuple[dict[str, str], dict[str, Any]]:
    """What is known of a recording as a whole, and of each of its rows."""
    whole = {
        key: str(array.ravel()[number if array.shape == (count,) else 0])
        for key, array in arrays.items()
        if array.shape in ((), (count,))
    }
    others = {key: array for key, array in arrays.items() if key not in whole}
    return whole, {
        key: array[slice(*rows)] for key, array in others.items() if array.shape == (total,)
    }


def _npz_blocks(signal: Any, times: Any | None, rows: dict[str, Any]) -> Iterator[Block]:
    for start in range(0, len(signal), BLOCK):
        part = slice(start, start + BLOCK)
        yield Block(
            start,
            _finite(signal[part]),
            None if times is None else times[part].astype(np.float64),
            {name: array[part].astype(str).tolist() for name, array in rows.items()},
        )
