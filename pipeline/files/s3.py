"""Objects in a bucket of S3, read in parts, and kept in a cache of bounded size on this disk.

s3fs reads them, with the keys and the endpoint that boto3 would take. The cache of a checkout is in
.state/s3; what was not read for the longest time goes first. SQLite keeps it whole if processes
share it, or are killed.
"""

from __future__ import annotations

import math
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple

from pipeline.files import artifacts
from pipeline.files.pictures.picture_file import PictureError, check_size
from pipeline.process import stage
from pipeline.process.errors import UserError

SCHEME = "s3:"
CACHE = artifacts.STATE / "s3"
GIGABYTES = "EDGEPROOF_S3_CACHE_GB"  # of the environment: how large the cache may be
DEFAULT_GIGABYTES = "10"
CHECKSUM = 4  # bytes before what is kept
BLOCK = 2**20  # bytes of the end of a zip file that are read at a time
CURE = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else boto3 takes"


class Object(NamedTuple):
    size: int
    etag: str


def is_address(path: Path) -> bool:
    return path.parts[:1] == (SCHEME,)


def address(path: Path) -> str:
    """As a person writes it; a Path makes one slash of two."""
    return f"{SCHEME}//{'/'.join(path.parts[1:])}"


def shown(path: Path) -> str:
    """A path or an address, for people."""
    return address(path) if is_address(path) else str(path)


class Bucket:
    """What is below an address such as s3://bucket/folder, as it is when this is made."""

    readers = 16  # threads, as each waits for the network

    def __init__(self, path: Path) -> None:
        """Raises UserError if it cannot be reached, or nothing is there."""
        try:
            import s3fs
        except ModuleNotFoundError:
            raise UserError(f"{address(path)} needs s3fs; run `uv sync --extra s3`") from None
        self.address, self.root = address(path), "/".join(path.parts[1:])
        with in_words(self.root):
            # by default it remembers what it has listed, and its keys
            self.files: Any = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
            try:
                entries = self.files.find(self.root, detail=True)
            except ValueError as error:  # of botocore, for an address without http
                raise OSError(str(error)) from None
        self.objects = {
            name.removeprefix(f"{self.root}/"): Object(facts["size"], facts["ETag"])
            for name, facts in entries.items()
            if name.startswith(f"{self.root}/") and facts["size"]
        }
        if not self.objects:
            raise UserError(f"nothing is at {self.address}; name a bucket, or a folder in one")

    def names(self) -> list[str]:
        return list(self.objects)

    @cached_property
    def cache(self) -> Any:
        import diskcache

        folder = stage.home() / CACHE
        options = {"size_limit": most_bytes(), "eviction_policy": "least-recently-used"}
        try:
            return diskcache.Cache(folder, **options)
        except sqlite3.OperationalError as error:  # it is whole, but locked, or the disk is full
            raise UserError(
                f"{CACHE} cannot be used ({error}); make room on the disk, and run again"
            ) from None
        except sqlite3.DatabaseError:  # somebody has damaged it
            return diskcache.Cache(artifacts.empty(folder), **options)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Opens an object as a file, which fetches what is read of it, past the cache."""
        path = f"{self.root}/{name}"
        with in_words(path), self.files.open(path, "rb", block_size=BLOCK) as file:
            yield file

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> bytes:
        """All bytes of an object, or those from `start` to `stop`, from the cache if it has them.

        Raises PictureError if it is too large or was not there at first, and UserError if S3 fails.
        """
        if name not in self.objects:
            raise PictureError(f"is not in {self.address}")
        size, etag = self.objects[name]
        if start is None:
            check_size(size)
        first, last = start or 0, size if stop is None else min(stop, size)
        path = f"{self.root}/{name}"
        key = f"{etag} {path} {first} {last}"
        if (data := self._cached(key)) is None:
            with in_words(path):
                data = bytes(self.files.cat_file(path, start=first, end=last))
            with suppress(sqlite3.Error, OSError):  # without room, it is fetched again
                self.cache.set(key, _checksum(data) + data, retry=True)
        return data

    def _cached(self, key: str) -> bytes | None:
        """What is kept, if it is whole: a power cut may leave half of it."""
        with suppress(sqlite3.Error, OSError):  # reading notes the time, for which there is no room
            cached: bytes = self.cache.get(key, b"", retry=True)
            data = cached[CHECKSUM:]
            return data if cached[:CHECKSUM] == _checksum(data) and cached else None
        return None


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECKSUM, "big")


def most_bytes() -> int:
    """How large the cache may be. Raises UserError."""
    given = os.environ.get(GIGABYTES, DEFAULT_GIGABYTES)
    with suppress(ValueError):
        if 0 <= float(given) < math.inf:
            return int(float(given) * 1e9)
    raise UserError(f"{GIGABYTES} is {given}; expected a number of gigabytes")


@contextmanager
def in_words(path: str) -> Iterator[None]:
    """Makes a UserError of whatever s3fs raises; `path` is an address without its scheme."""
    import aiohttp
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    where = f"{SCHEME}//{path}"
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{where} is not there; check its name and its bucket") from None
    except (PermissionError, NoCredentialsError) as error:
        raise UserError(f"{where} may not be read ({_reason(error)}); {CURE}") from None
    except (BotoCoreError, ClientError, aiohttp.ClientError, OSError) as error:
        raise UserError(
            f"{where} could not be read ({_reason(error)}); check AWS_ENDPOINT_URL and the "
            "network, and run again"
        ) from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
