"""Zip files that together hold one folder, on disk or in a bucket of S3.

Each of them has paths from that folder, such as cat/1.jpg. Nothing is unpacked: the directories of
all are read at first, and then each file from where it lies.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import IO, Protocol
from zipfile import ZipInfo

from pipeline.files.pictures.picture_file import PictureError, check_size
from pipeline.process.errors import UserError
from serving import framing

SUFFIX = ".zip"
READ = (*framing.SUFFIXES, ".csv", ".tsv")  # what must be in one place only
AT_A_TIME = 16  # directories that are read at a time
# Of what precedes a file: how long its name and the fields after it are (APPNOTE.TXT, 4.3.7)
HEADER = struct.Struct("<26xHH")
SPARE = 256  # bytes that these fields may have before the file must be read once more
ENCRYPTED = 1  # in `ZipInfo.flag_bits`
# What zipfile raises for a damaged or foreign file
UNREADABLE = (OSError, ValueError, NotImplementedError, struct.error, zipfile.BadZipFile)


class Store(Protocol):
    """Where shards are: a folder, or a bucket."""

    @property
    def address(self) -> str: ...

    @property
    def readers(self) -> int: ...

    def names(self) -> Iterable[str]: ...

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]: ...

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> bytes: ...


def named(names: Iterable[str]) -> list[str]:
    """The zip files among `names`, if neither pictures nor folders, as in a/1.jpg, are beside them.

    Then they are shards; otherwise they only lie there, and there are none.
    """
    archives = []
    for name in names:
        if name.startswith("."):
            continue
        if "/" in name or name.lower().endswith(framing.SUFFIXES):
            return []
        if name.lower().endswith(SUFFIX):
            archives.append(name)
    return sorted(archives)


class Shards:
    """The files in all of the shards, and those beside them, such as a list of labels."""

    def __init__(self, store: Store, names: Sequence[str]) -> None:
        """Raises UserError for a shard that is damaged, or has a file of another one."""
        self.store = store
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            self.entries = dict(zip(names, pool.map(self._entries, names), strict=True))
        self.places: dict[str, tuple[str, ZipInfo]] = {}
        beside = {*store.names()}
        for shard, entries in self.entries.items():
            for entry in entries:
                name = entry.filename
                other, _ = self.places.setdefault(name, (shard, entry))
                is_twice = other != shard or name in beside
                if is_twice and name.lower().endswith(READ):
                    where = other if other != shard else "a file beside it"
                    raise UserError(
                        f"{where} and {shard} in {store.address} both hold {name}; "
                        "expected it in one place"
                    )

    def _entries(self, shard: str) -> list[ZipInfo]:
        """Of several files with one name, the last, which has replaced the others."""
        try:
            with self.store.open(shard) as file:
                entries = zipfile.ZipFile(file).infolist()
            return list({entry.filename: entry for entry in entries}.values())
        except UNREADABLE as error:
            raise UserError(
                f"{self.store.address}/{shard} is not a readable zip file ({error})"
            ) from None

    @property
    def readers(self) -> int:
        return self.store.readers

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> bytes:
        """The bytes of a file, as its checksum in the shard says. Raises PictureError."""
        if name not in self.places:
            return self.store.read(name, start, stop)
        shard, entry = self.places[name]
        check_size(max(entry.file_size, entry.compress_size))
        if entry.flag_bits & ENCRYPTED:
            raise PictureError("is encrypted")
        first = entry.header_offset
        length = HEADER.size + len(entry.orig_filename.encode()) + SPARE + entry.compress_size
        data = self.store.read(shard, first, first + length)
        begin = HEADER.size + sum(HEADER.unpack_from(data))
        end = begin + entry.compress_size
        if end > len(data):
            data = self.store.read(shard, first, first + end)
        return _content(entry, data[begin:end])[start:stop]


def _content(entry: ZipInfo, packed: bytes) -> bytes:
    """Unpacks no more than the directory says. Raises PictureError, or zlib.error."""
    if entry.compress_type == zipfile.ZIP_STORED:
        data = packed
    elif entry.compress_type == zipfile.ZIP_DEFLATED:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.file_size + 1)
    else:
        raise PictureError("is packed by another method than stored or deflated")
    if len(data) != entry.file_size or zlib.crc32(data) != entry.CRC:
        raise PictureError("is damaged in the zip file")
    return data
