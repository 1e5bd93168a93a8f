"""Pictures on disk in place of an array of images.

They stay the compressed files that they are, in a folder or a zip file, and are decoded when they
are indexed. A table says which files they are.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar, cast

import numpy as np

from pipeline.files import artifacts, s3
from pipeline.files.artifacts import Array
from pipeline.files.pictures import picture_file, shards
from pipeline.files.pictures.picture_file import Framing, PictureError, Shape, check_size
from pipeline.files.pictures.picture_table import Table
from pipeline.files.pictures.shards import Shards
from pipeline.process.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

WORKERS = min(os.cpu_count() or 1, 8)  # each holds a whole decoded picture


class Source(Protocol):
    @property
    def readers(self) -> int:
        """How many threads should read from it."""

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> bytes:
        """All bytes of a file, or those from `start` to `stop`. Raises PictureError or OSError."""


@dataclass(frozen=True)
class Folder:
    root: Path
    readers: int = WORKERS

    @property
    def address(self) -> str:
        return str(self.root)

    def names(self) -> Iterator[str]:
        """What is at the top; a folder's name ends in a slash."""
        with os.scandir(self.root) as entries:
            for entry in entries:
                yield f"{entry.name}/" if entry.is_dir() else entry.name

    def open(self, name: str) -> IO[bytes]:
        if not (self.root / name).is_file():  # a pipe might never end
            raise OSError("it is not a file")
        return (self.root / name).open("rb")

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> bytes:
        path = f"{self.root}/{name}"  # a Path takes as long as reading a small file
        status = os.stat(path)  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):  # a pipe might never end
            raise PictureError("is not a file")
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            if start is not None and stop is not None:
                return os.pread(file.fileno(), stop - start, start)
            check_size(status.st_size)
            return file.read()


class Archive:
    """A zip file, whose members are read in place: nothing is unpacked."""

    readers = WORKERS

    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> bytes:
        try:
            entry = self.file.getinfo(name)
        except KeyError:
            raise PictureError("is not in the zip file") from None
        if stop is None:
            check_size(entry.file_size)
        with self.file.open(entry) as file:
            return file.read(entry.file_size if stop is None else stop)[start:]


def source(path: Path) -> Source:
    """Where the pictures of `dataset.path` are read from. Raises UserError."""
    if s3.is_address(path):
        bucket = s3.Bucket(path)
        names = shards.named(bucket.names())
        return Shards(bucket, names) if names else bucket
    if path.is_dir():
        folder = Folder(path)
        names = shards.named(folder.names())
        return Shards(folder, names) if names else folder
    try:
        return Archive(path)
    except FileNotFoundError:
        raise UserError(f"dataset.path {path} is not there any more; put it back") from None
    except shards.UNREADABLE as error:
        raise UserError(f"dataset.path {path} is not a readable zip file ({error})") from None


@lru_cache(maxsize=2)  # the pictures, and those of none of the classes
def _shared(root: Path, folder: Path, changed: int | None) -> Source:
    """The source at `root`, seen from `folder`: all splits share the directories of its shards."""
    return source(root)


class Pictures:
    """Images (N, H, W, C) uint8 that are decoded when they are indexed, in worker threads.

    It takes the indices of an array's first axis: a number, a slice, or row numbers.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        root: Path,
        table: Table,
        shape: Shape,
        framing: Framing = "resize",
        numbers: Array | None = None,
    ) -> None:
        """`numbers` are the rows of the table that count, in this order; by default all do."""
        self.root, self.table, self.image_shape, self.framing = root, table, shape, framing
        self.numbers = np.arange(len(table)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, key: Any) -> Array:
        numbers = self.numbers[key]
        if numbers.ndim == 0:
            return self._image(int(numbers))
        images = np.empty((len(numbers), *self.image_shape), self.dtype)
        for index, image in enumerate(
            in_threads(self._image, numbers.tolist(), self.source.readers)
        ):
            images[index] = image
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:].astype(dtype or self.dtype, copy=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.image_shape)

    @cached_property
    def source(self) -> Source:
        return _shared(self.root, Path.cwd(), self._changed())

    def _changed(self) -> int | None:
        """When what is at the root was changed, if that is known."""
        return self.root.stat().st_mtime_ns if self.root.exists() else None

    def as_array(self) -> Array:
        """The same, to the type checker an array: it is used like one that is memory-mapped."""
        return cast(Array, self)

    @property
    def rows(self) -> Table:
        """What is known of the pictures; a copy."""
        return self.table[self.numbers]

    def subset(self, numbers: Array) -> Pictures:
        """These rows, still on disk."""
        return Pictures(
            self.root, self.table, self.image_shape, self.framing, self.numbers[numbers]
        )

    def files_here(self) -> list[Path]:
        """The files on this machine that they are read from; none if they are in a bucket."""
        if s3.is_address(self.root):
            return []
        if isinstance(self.source, Shards):
            return [self.root / shard for shard in self.source.entries]
        is_folder = isinstance(self.source, Folder)
        return [self.root / file for file in self.rows.files] if is_folder else [self.root]

    def sha256(self) -> str:
        """A digest of what the images are made from."""
        # Without the default, so that what was made before framings existed is found again
        framing = "" if self.framing == "resize" else f" {self.framing}"
        digest = hashlib.sha256(f"{self.shape}{framing}\n".encode())
        for start, stop in artifacts.chunks(len(self), artifacts.CHUNK):
            digest.update("".join(self.table.facts(self.numbers[start:stop])).encode())
        return digest.hexdigest()

    def _image(self, number: int) -> Array:
        picture = self.table[number]
        try:
            data = self.source.read(picture.file)
            if hashlib.sha256(data).hexdigest() != picture.sha256:
                raise PictureError("has other bytes")
            return picture_file.image(data, self.image_shape, picture.box, self.framing)
        except UserError:  # the bucket cannot be reached
            raise
        except Exception as error:  # on damaged files Pillow raises anything
            raise UserError(
                f"{s3.shown(self.root / picture.file)} has changed since `download` read it "
                f"({picture_file.reason(error)}); run `dvc repro --force download`"
            ) from None


def on_disk(inputs: Any) -> Pictures | None:
    """The pictures that stand in place of an array; None if it is an array."""
    return inputs if isinstance(inputs, Pictures) else None


def joined(parts: Sequence[Pictures]) -> Table:
    """What is known of the pictures of several parts, without their columns."""

    def whole(column: Callable[[Table], Array]) -> Array:
        return np.concatenate([column(part.table)[part.numbers] for part in parts])

    return Table(
        whole(lambda table: table.files),
        whole(lambda table: table.sha256),
        whole(lambda table: table.hashes),
        whole(lambda table: table.boxes),
        {},
    )


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int = WORKERS
) -> Iterator[Result]:
    """The results in order; only a few of them are waiting in memory at a time."""

    def several(first: int) -> list[Result]:
        return list(map(function, items[first : first + size]))

    size = max(1, min(16, len(items) // (4 * threads)))  # a task takes as long as a small picture
    with ThreadPoolExecutor(threads) as pool:
        for start, stop in artifacts.chunks(len(items), 16 * size * threads):
            yield from chain.from_iterable(pool.map(several, range(start, stop, size)))
