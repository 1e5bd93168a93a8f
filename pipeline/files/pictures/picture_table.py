"""What is known of many pictures, in columns: about 150 bytes for each of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np

from pipeline.files import artifacts, atomic
from pipeline.files.artifacts import Array
from pipeline.files.pictures.picture_file import Box

OWN_COLUMNS = ("file", "sha256", "hash", "left", "top", "right", "bottom")
TEXT = np.dtypes.StringDType()
CHUNK = 1024  # pictures that are objects at a time
DIGEST = 32  # bytes of a SHA-256, and of a perceptual hash


@dataclass(frozen=True, slots=True)
class Picture:
    """A file below the data's root, its SHA-256 and perceptual hash, and the part of it to use.

    `columns` are what else is known about it, such as its label, for `preprocess.group`.
    """

    file: str
    sha256: str
    hash: str
    box: Box | None = None
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Table(Sequence[Picture]):
    """N pictures, each of which has the same columns. A slice or row numbers give another table.

    `files` and each of the `columns` are texts (N,), `sha256` and `hashes` (N, 32) uint8, `boxes`
    (N, 4) int32, with zeros where there is none.
    """

    files: Array
    sha256: Array
    hashes: Array
    boxes: Array
    columns: dict[str, Array]

    @classmethod
    def of(cls, pictures: Iterable[Picture], most: int) -> Table:
        """A table of the pictures, at most `most` of them; its memory grows as they are read."""
        rows, count, table = iter(pictures), 0, None
        while chunk := list(islice(rows, CHUNK)):
            if table is None:
                table = cls._empty(most, chunk[0].columns)
            table._fill(count, chunk)
            count += len(chunk)
        return cls._empty(0, ()) if table is None else table[:count]

    @classmethod
    def _empty(cls, count: int, columns: Iterable[str]) -> Table:
        return cls(
            np.empty(count, TEXT),
            np.empty((count, DIGEST), np.uint8),
            np.empty((count, DIGEST), np.uint8),
            np.empty((count, 4), np.int32),
            {name: np.empty(count, TEXT) for name in columns},
        )

    def _fill(self, start: int, pictures: Sequence[Picture]) -> None:
        rows = slice(start, start + len(pictures))
        self.files[rows] = [picture.file for picture in pictures]
        self.sha256[rows] = _from_hex([picture.sha256 for picture in pictures])
        self.hashes[rows] = _from_hex([picture.hash for picture in pictures])
        self.boxes[rows] = [picture.box or (0, 0, 0, 0) for picture in pictures]
        for name, column in self.columns.items():
            column[rows] = [picture.columns[name] for picture in pictures]

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Picture: ...
    @overload
    def __getitem__(self, key: slice | Array) -> Table: ...
    def __getitem__(self, key: int | np.integer[Any] | slice | Array) -> Picture | Table:
        if not isinstance(key, int | np.integer):
            columns = {name: column[key] for name, column in self.columns.items()}
            return Table(
                self.files[key], self.sha256[key], self.hashes[key], self.boxes[key], columns
            )
        return Picture(
            self.files[key],
            self.sha256[key].tobytes().hex(),
            self.hashes[key].tobytes().hex(),
            _box(self.boxes[key].tolist()),
            {name: column[key] for name, column in self.columns.items()},
        )

    def __iter__(self) -> Iterator[Picture]:
        """The pictures one by one, faster than by their numbers."""
        for start, stop in artifacts.chunks(len(self), CHUNK):
            part = self[start:stop]
            cells = zip(*(column.tolist() for column in part.columns.values()), strict=True)
            for file, sha256, hash_, box, values in zip(
                part.files.tolist(),
                _hex(part.sha256),
                _hex(part.hashes),
                part.boxes.tolist(),
                cells if part.columns else [()] * len(part),
                strict=True,
            ):
                columns = dict(zip(part.columns, values, strict=True))
                yield Picture(file, sha256, hash_, _box(box), columns)

    def facts(self, rows: Array) -> list[str]:
        """A line for each of these rows that says what its image is made from."""
        pairs = zip(_hex(self.sha256[rows]), self.boxes[rows].tolist(), strict=True)
        return [f"{sha256} {_box(box)}\n" for sha256, box in pairs]


def _from_hex(texts: Sequence[str]) -> Array:
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(len(texts), DIGEST)


def _hex(rows: Array) -> list[str]:
    text = rows.tobytes().hex()
    return [text[start : start + 2 * DIGEST] for start in range(0, len(text), 2 * DIGEST)]


def _box(sides: list[int]) -> Box | None:
    left, top, right, bottom = sides
    return (left, top, right, bottom) if right else None


def save(path: Path, table: Table) -> None:
    others = list(table.columns) if len(table) else []
    rows = (
        [row.file, row.sha256, row.hash, *(row.box or [""] * 4), *row.columns.values()]
        for row in table
    )
    with atomic.replacing(path) as new, new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*OWN_COLUMNS, *others])
        writer.writerows(rows)


def load(path: Path) -> Table:
    """The table that `save` has written; it is shared by all who load it, so do not change it."""
    status = path.stat()
    return _load(path.resolve(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=5)  # the raw parts, or the splits and the pictures of none of the classes
def _load(path: Path, changed: int, size: int) -> Table:
    with path.open("rb") as binary:
        most = sum(line.count(b"\n") for line in binary)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        names = next(reader)[len(OWN_COLUMNS) :]
        return Table.of((_picture(row, names) for row in reader), most)


def _picture(row: list[str], names: list[str]) -> Picture:
    file, sha256, hash_, *rest = row
    left, top, right, bottom, *others = rest
    box = (int(left), int(top), int(right), int(bottom)) if left else None
    return Picture(file, sha256, hash_, box, dict(zip(names, others, strict=True)))
