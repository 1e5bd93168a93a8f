"""Pictures on disk in place of an array of images.

They stay the compressed files that they are, in a folder or a zip file, and are decoded when they
are indexed. A table says which files they are: data/raw/<part>/pictures.csv.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import stat
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from serving import photo

Shape = tuple[int, int, int]  # height, width, channels
Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels of the upright picture
Item = TypeVar("Item")
Result = TypeVar("Result")

WORKERS = min(os.cpu_count() or 1, 8)  # each holds a whole decoded picture
LARGEST_BYTES = 256 * 2**20  # of a file
# Cameras of phones have up to this many pixels; a device takes photo.LARGEST_PIXELS. A JPEG above
# that is decoded at a half, a quarter or an eighth of its size.
LARGEST_JPEG = 200_000_000
GIANT = 16_000_000  # pixels; only one such picture is decoded at a time
HASH = 16  # the perceptual hash has HASH x HASH bits
OWN_COLUMNS = ("file", "sha256", "hash", "left", "top", "right", "bottom")

_one_giant = threading.Lock()
# Pillow's own limit only warns, in a way that is not safe in threads; `_opened` refuses.
Image.MAX_IMAGE_PIXELS = None
# It also warns of damage that it can live with, such as in EXIF data.
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureError(Exception):
    """A picture that is left out; the message is the reason, and follows the file's name."""


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

    def __init__(self, root: Path, rows: Sequence[Picture], shape: Shape) -> None:
        self.root, self.rows, self.image_shape = root, rows, shape

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
        return Pictures(self.root, [self.rows[number] for number in numbers], self.image_shape)

    def sha256(self) -> str:
        """A digest of what the images are made from."""
        facts = [f"{picture.sha256} {picture.box}\n" for picture in self.rows]
        return hashlib.sha256("".join([f"{self.shape}\n", *facts]).encode()).hexdigest()

    def _image(self, number: int) -> Array:
        picture = self.rows[number]
        try:
            data = self.source.read(picture.file)
            if hashlib.sha256(data).hexdigest() != picture.sha256:
                raise PictureError("has other bytes")
            return image(data, self.image_shape, picture.box)
        except Exception as error:  # on damaged files Pillow raises anything
            raise UserError(
                f"{self.root / picture.file} has changed since `download` read it "
                f"({reason(error)}); run `dvc repro --force download`"
            ) from None


def on_disk(inputs: Any) -> Pictures | None:
    """The pictures that stand in place of an array; None if it is an array."""
    return inputs if isinstance(inputs, Pictures) else None


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The results in order; only a few of them are waiting in memory at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for start, stop in artifacts.chunks(len(items), 16 * WORKERS):
            yield from pool.map(function, items[start:stop])


def image(data: bytes, shape: Shape, box: Box | None = None) -> Array:
    """The bytes of a picture, or its `box`, -> (H, W, C) uint8, as a device makes it.

    Raises PictureError, or whatever Pillow raises on a damaged file.
    """
    height, width, channels = shape
    opened = _opened(data)
    with _turn(opened), opened:
        factor = _reduced(opened)
        upright = photo.upright(opened, "L" if channels == 1 else "RGB")
        if box:
            upright = upright.crop(tuple(side // factor for side in box))
        resized = upright.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, np.uint8).reshape(shape)


def inspect(data: bytes, box: Box | None) -> tuple[str, int]:
    """Decodes a picture to see that it can be. Raises as `image` does.

    Returns its perceptual hash, which is that of the differences of neighbouring grey pixels when
    it is made small, and the bits of its grey levels if it has more than 8, otherwise 0.
    """
    opened = _opened(data)
    with _turn(opened), opened:
        _check_box(box, opened)
        opened.draft(None, (4 * HASH, 4 * HASH))  # enough for the hash, and reads the whole file
        bits = 0
        if opened.mode.startswith("I"):
            bits = int(np.asarray(opened).max()).bit_length()
        size = (HASH + 1, HASH)
        grey = photo.upright(opened, "L").resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    pixels = np.asarray(grey)
    return np.packbits(pixels[:, 1:] > pixels[:, :-1]).tobytes().hex(), bits


def _opened(data: bytes) -> Image.Image:
    opened = Image.open(io.BytesIO(data), formats=photo.FORMATS)
    pixels = opened.width * opened.height
    if pixels > (LARGEST_JPEG if _is_jpeg(opened) else photo.LARGEST_PIXELS):
        raise PictureError(
            f"has {opened.width} x {opened.height} pixels; expected at most "
            f"{photo.LARGEST_PIXELS:,}, or {LARGEST_JPEG:,} in a JPEG"
        )
    return opened


def _is_jpeg(opened: Image.Image) -> bool:
    return opened.format in ("JPEG", "MPO")  # MPO: several JPEGs in one file


def _turn(opened: Image.Image) -> Any:
    return _one_giant if opened.width * opened.height > GIANT else nullcontext()


def _reduced(opened: Image.Image) -> int:
    """Lets a JPEG that is too large for a device be decoded smaller; by which factor it is."""
    width, height = opened.size
    factor = 1
    while width * height > photo.LARGEST_PIXELS * factor**2:
        factor *= 2
    if factor > 1:
        opened.draft(None, (width // factor, height // factor))
    return factor


def _check_box(box: Box | None, opened: Image.Image) -> None:
    if box is None:
        return
    width, height = opened.size
    if opened.getexif().get(photo.ORIENTATION) in (5, 6, 7, 8):
        width, height = height, width
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise PictureError(f"has {width} x {height} pixels, and its box {box} is not within")


def reason(error: Exception) -> str:
    """Why a picture could not be read, as part of a sentence."""
    if isinstance(error, PictureError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return f"is not a picture; expected {', '.join(photo.FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return f"could not be read: {error.strerror}"
    return f"is damaged: {' '.join(str(error).split())[:200] or type(error).__name__}"


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


def load(path: Path, root: Path, shape: Shape) -> Pictures:
    """The pictures of a table, which lie below `root`."""
    shared: dict[tuple[str, ...], dict[str, str]] = {}  # equal columns, as memory counts here
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        names = next(reader)[len(OWN_COLUMNS) :]
        return Pictures(root, [_picture(row, names, shared) for row in reader], shape)


def _picture(
    row: list[str], names: list[str], shared: dict[tuple[str, ...], dict[str, str]]
) -> Picture:
    file, sha256, hash_, *rest = row
    left, top, right, bottom, *others = rest
    box = (int(left), int(top), int(right), int(bottom)) if left else None
    columns = shared.setdefault(tuple(others), dict(zip(names, others, strict=True)))
    return Picture(file, sha256, hash_, box, columns)
