"""Pictures on disk in place of an array of images.

They stay the compressed files that they are, in a folder or a zip file, and are decoded when they
are indexed. A table says which files they are: data/raw/<part>/pictures.csv.
"""

from __future__ import annotations

import csv
import hashlib
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from pipeline.files import artifacts, picture_file
from pipeline.files.artifacts import Array
from pipeline.files.picture_file import Box, Framing, PictureError, Shape
from pipeline.process.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

WORKERS = min(os.cpu_count() or 1, 8)  # each holds a whole decoded picture
LARGEST_BYTES = 256 * 2**20  # of a file
OWN_COLUMNS = ("file", "sha256", "hash", "left", "top", "right", "bottom")


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


class Source(Protocol):
    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises PictureError or OSError."""


@dataclass(frozen=True)
class Folder:
    root: Path

    def read(self, name: str) -> bytes:
        path = self.root / name
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe might never end
            raise PictureError("is not a file")
        _check_size(status.st_size)
        return path.read_bytes()


class Archive:
    """A zip file, whose members are read in place: nothing is unpacked."""

    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)

    def read(self, name: str) -> bytes:
        try:
            entry = self.file.getinfo(name)
        except KeyError:
            raise PictureError("is not in the zip file") from None
        _check_size(entry.file_size)
        return self.file.read(entry)


def _check_size(size: int) -> None:
    if size > LARGEST_BYTES:
        raise PictureError(f"has {size:,} bytes; expected at most {LARGEST_BYTES:,}")


def source(path: Path) -> Source:
    """Where the pictures of `dataset.path` are read from. Raises UserError."""
    if path.is_dir():
        return Folder(path)
    try:
        return Archive(path)
    except FileNotFoundError:
        raise UserError(f"dataset.path {path} is not there any more; put it back") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"dataset.path {path} is not a readable zip file ({error})") from None


class Pictures:
    """Images (N, H, W, C) uint8 that are decoded when they are indexed, in worker threads.

    It takes the indices of an array's first axis: a number, a slice, or row numbers.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, root: Path, rows: Sequence[Picture], shape: Shape, framing: Framing = "resize"
    ) -> None:
        self.root, self.rows, self.image_shape, self.framing = root, rows, shape, framing

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Array:
        numbers = np.arange(len(self))[key]
        if numbers.ndim == 0:
            return self._image(int(numbers))
        images = np.empty((len(numbers), *self.image_shape), self.dtype)
        for index, image in enumerate(in_threads(self._image, numbers.tolist())):
            images[index] = image
        return images

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.image_shape)

    @cached_property
    def source(self) -> Source:
        return source(self.root)

    def as_array(self) -> Array:
        """The same, to the type checker an array: it is used like one that is memory-mapped."""
        return cast(Array, self)

    def subset(self, numbers: Array) -> Pictures:
        """These rows, still on disk."""
        rows = [self.rows[number] for number in numbers]
        return Pictures(self.root, rows, self.image_shape, self.framing)

    def sha256(self) -> str:
        """A digest of what the images are made from."""
        facts = [f"{picture.sha256} {picture.box}\n" for picture in self.rows]
        # Without the default, so that what was made before framings existed is found again
        framing = "" if self.framing == "resize" else f" {self.framing}"
        head = f"{self.shape}{framing}\n"
        return hashlib.sha256("".join([head, *facts]).encode()).hexdigest()

    def _image(self, number: int) -> Array:
        picture = self.rows[number]
        try:
            data = self.source.read(picture.file)
            if hashlib.sha256(data).hexdigest() != picture.sha256:
                raise PictureError("has other bytes")
            return picture_file.image(data, self.image_shape, picture.box, self.framing)
        except Exception as error:  # on damaged files Pillow raises anything
            raise UserError(
                f"{self.root / picture.file} has changed since `download` read it "
                f"({picture_file.reason(error)}); run `dvc repro --force download`"
            ) from None


def on_disk(inputs: Any) -> Pictures | None:
    """The pictures that stand in place of an array; None if it is an array."""
    return inputs if isinstance(inputs, Pictures) else None


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The results in order; only a few of them are waiting in memory at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for start, stop in artifacts.chunks(len(items), 16 * WORKERS):
            yield from pool.map(function, items[start:stop])


def save(path: Path, pictures: Pictures) -> None:
    """Writes the table; the columns that pictures have beside ours are the same for all."""
    others = list(pictures.rows[0].columns) if pictures.rows else []
    rows = [
        [
            picture.file,
            picture.sha256,
            picture.hash,
            *(picture.box or [""] * 4),
            *(picture.columns[name] for name in others),
        ]
        for picture in pictures.rows
    ]
    artifacts.save_csv(path, [*OWN_COLUMNS, *others], rows)


def load(path: Path, root: Path, shape: Shape, framing: Framing = "resize") -> Pictures:
    """The pictures of a table, which lie below `root`."""
    shared: dict[tuple[str, ...], dict[str, str]] = {}  # equal columns, as memory counts here
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        names = next(reader)[len(OWN_COLUMNS) :]
        return Pictures(root, [_picture(row, names, shared) for row in reader], shape, framing)


def _picture(
    row: list[str], names: list[str], shared: dict[tuple[str, ...], dict[str, str]]
) -> Picture:
    file, sha256, hash_, *rest = row
    left, top, right, bottom, *others = rest
    box = (int(left), int(top), int(right), int(bottom)) if left else None
    columns = shared.setdefault(tuple(others), dict(zip(names, others, strict=True)))
    return Picture(file, sha256, hash_, box, columns)
