"""The recordings in a file of a sensor, read a block at a time.

A CSV has a column for each channel, named in its first line, and optionally a column `time`. Where
a column such as `person` changes, or below a blank line, another recording begins;
`recording_columns` knows the names.
An npz has an array `signal` (T, C), and optionally `channels`, `rate` in Hz, `time` (T,) and, of
several recordings one after the other, the `length` of each. Any other column, or array with an
entry for each row or recording, is text about them.
If there is neither, and most files are logs, they are read: tables of another suffix, or files of
Edge Impulse.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from pipeline.datasets.reading import edge_impulse, file_tree, recording_csv
from pipeline.datasets.reading.file_tree import FileError, Tree
from pipeline.datasets.reading.recording_csv import BLOCK
from pipeline.datasets.reading.recording_windows import (
    Block,
    Recording,
    check_channels,
    float32_or_nan,
)
from serving.errors import reason
from serving.recording import TIME

SUFFIXES = (".csv", ".tsv", ".npz")
LOGS = (".txt", ".log", ".dat", ".asc", *edge_impulse.SUFFIXES)
NOUN = "recording"
LARGEST_NPZ = 2**30  # bytes, unpacked


def tree(root: Path, labels: str = "labels.csv") -> Tree:
    """The recordings below a folder or in a zip file, or if there are none, the logs.

    They are logs if most of the files are. `labels` is the name of their list, if there is one.
    """
    tables = file_tree.read(root, suffixes=SUFFIXES, noun=NOUN)
    if any(PurePosixPath(file).name != labels for file in tables.files):
        return tables
    logs = file_tree.read(root, suffixes=(*LOGS, Path(labels).suffix), noun=NOUN)
    return logs if len(logs.files) > len(logs.left_out) else tables


def recordings(
    file: IO[bytes], name: str, channels: Sequence[str] | None = None
) -> Iterator[Recording]:
    """The recordings in a file of this name. Raises FileError, also while they are read.

    Without `channels` all columns of numbers are channels, but for `time`, `label` and `class`.
    """
    with _damage():
        for recording in _read(file, name.lower(), channels):
            recording.blocks = _guarded(recording.blocks)
            yield recording


def _read(file: IO[bytes], name: str, channels: Sequence[str] | None) -> Iterator[Recording]:
    if name.endswith(".npz"):
        yield from _npz(file, channels)
    elif name.endswith(edge_impulse.SUFFIXES):
        yield _of_edge_impulse(file, name, channels)
    else:
        yield from _csv(file, channels)


def _guarded(blocks: Iterator[Block]) -> Iterator[Block]:
    with _damage():
        yield from blocks


@contextmanager
def _damage() -> Iterator[None]:
    """Raises FileError for whatever csv, zipfile and NumPy raise on damaged files."""
    try:
        yield
    except FileError:
        raise
    except UnicodeDecodeError:
        raise FileError("is not a CSV in UTF-8; save it as one") from None
    except Exception as error:
        raise FileError(f"cannot be read: {reason(error)}") from None


def _csv(file: IO[bytes], channels: Sequence[str] | None) -> Iterator[Recording]:
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        yield from recording_csv.recordings(text, channels)
    finally:
        with suppress(ValueError):  # the caller has closed the file
            text.detach()  # it is the caller's to close


def _of_edge_impulse(file: IO[bytes], name: str, channels: Sequence[str] | None) -> Recording:
    data = file.read(edge_impulse.LARGEST + 1)
    names, values, rate = edge_impulse.read(data, name.endswith(".cbor"))
    taken = tuple(channels or names)
    check_channels(taken, names)
    places = [names.index(channel) for channel in taken]
    return Recording(taken, _blocks(values[:, places], None, {}), rate=rate)


def _npz(file: IO[bytes], channels: Sequence[str] | None) -> Iterator[Recording]:
    arrays = _arrays(file)
    signal = _signal(arrays)
    numbered = [str(number + 1) for number in range(signal.shape[1])]
    names = arrays.pop("channels", np.array(numbered)).astype(str).tolist()
    used = tuple(channels or names)
    if len(names) != signal.shape[1]:
        raise FileError(f"names {len(names)} channels and has {signal.shape[1]}")
    check_channels(used, names)
    places = [names.index(name) for name in used]
    rate = _rate(arrays)
    _name_labels(arrays)
    is_one = "length" not in arrays
    lengths = _lengths(arrays, len(signal))
    ends = np.cumsum(lengths).tolist()
    for number, (start, end) in enumerate(pairwise([0, *ends])):
        columns, rows = _columns(arrays, number, (start, end), len(lengths), len(signal))
        times = rows.pop(TIME, None)
        blocks = _blocks(signal[start:end][:, places], times, rows)
        yield Recording(used, blocks, None if is_one else number, rate, columns)


def _arrays(file: IO[bytes]) -> dict[str, Any]:
    if not zipfile.is_zipfile(file):
        raise FileError("is not an npz file")
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        size = sum(entry.file_size for entry in archive.zip.infolist())
        if size > LARGEST_NPZ:
            raise FileError(f"unpacks to {size:,} bytes; expected at most {LARGEST_NPZ:,}")
        return {key: archive[key] for key in archive.files}


def _signal(arrays: dict[str, Any]) -> Any:
    """(T, C), which is then no longer among the arrays."""
    signal = arrays.pop("signal", None)
    if signal is None or signal.ndim not in (1, 2) or signal.dtype.kind not in "fiu":
        raise FileError("has no array signal (T, C) of numbers")
    if not len(signal):
        raise FileError("holds no rows")
    return signal.reshape(len(signal), -1)


def _name_labels(arrays: dict[str, Any]) -> None:
    """Replaces labels that are numbers by their names in `classes`, if there are some."""
    classes = arrays.pop("classes", None)
    if classes is not None and arrays.get("label", classes).dtype.kind in "iu":
        arrays["label"] = np.asarray(classes)[arrays["label"]]


def _lengths(arrays: dict[str, Any], rows: int) -> Any:
    """The rows of each recording, which are then no longer among the arrays."""
    lengths = arrays.pop("length", np.array([rows])).astype(np.int64).ravel()
    if lengths.min(initial=0) < 0 or lengths.sum() != rows:
        raise FileError(f"holds {rows:,} rows, and its lengths add up to {lengths.sum():,}")
    return lengths


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


def _blocks(signal: Any, times: Any | None, rows: dict[str, Any]) -> Iterator[Block]:
    for start in range(0, len(signal), BLOCK):
        part = slice(start, start + BLOCK)
        yield Block(
            start,
            float32_or_nan(signal[part]),
            None if times is None else times[part].astype(np.float64),
            {name: array[part].astype(str).tolist() for name, array in rows.items()},
        )
