"""The .tar.gz of a bundle in canonical form: the same files always make the same archive.

Programs read tar differently (pax, sparse and GNU headers, links, junk between members), so one may
verify what another does not unpack. Here every header is computed from the name and the size, and
any other byte is refused. So every tar unpacks exactly what was verified.

An archive is SHA256SUMS followed by the files in its order. Each has a POSIX ustar header and is
zero-padded to 512 bytes, the whole to a multiple of 10,240 bytes. It is one gzip stream.
"""

from __future__ import annotations

import os
import stat
import zlib
from pathlib import PurePosixPath
from typing import BinaryIO, Iterator, List, Tuple

# RFC 1952: deflate, no name, no time, best compression, unknown system
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
BLOCK = 512
RECORD = 20 * BLOCK
CHUNK = 1 << 16  # packed bytes per read
PIECE = 1 << 16  # unpacked bytes in memory at a time
PROGRAMS = "programs"  # folders with this name hold executables

# Weights hardly compress, so a bundle unpacks to about twice its size. Much more is a zip bomb.
LARGEST_RATIO = 8
ALWAYS_ALLOWED = 32 << 20  # unpacked bytes, whatever the ratio
LARGEST_BYTES = 1 << 30


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a file: no owner, no time, its mode by its name. Raises ValueError."""
    prefix, short = _split(name.encode())
    mode = 0o755 if PurePosixPath(name).parent.name == PROGRAMS else 0o644
    if not 0 <= size <= LARGEST_BYTES:
        raise ValueError(f"{name!r} would have {size:,} bytes, expected at most {LARGEST_BYTES:,}")
    block = b"".join(
        [
            short.ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"%07o\0" % 0,  # user
            b"%07o\0" % 0,  # group
            b"%011o\0" % size,
            b"%011o\0" % 0,  # time
            b" " * 8,  # in place of the checksum while it is computed
            b"0",  # a file
            bytes(100),  # the target of a link
            b"ustar\x0000",
            bytes(32 + 32 + 8 + 8),  # user name, group name, device numbers
            prefix.ljust(155, b"\0"),
            bytes(12),
        ]
    )
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _split(name: bytes) -> Tuple[bytes, bytes]:
    """Splits `name` over the two fields of ustar, with the first as short as possible."""
    parts = name.split(b"/")
    for index in range(len(parts)):
        prefix, short = b"/".join(parts[:index]), b"/".join(parts[index:])
        if len(short) <= 100 and len(prefix) <= 155:
            return prefix, short
    raise ValueError(f"the name {name.decode()!r} is too long for an archive")


def filling(size: int) -> bytes:
    """The zeros after a file of `size` bytes."""
    return bytes(-size % BLOCK)


def ending(size: int) -> bytes:
    """The zeros at the end of an archive of `size` bytes."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % RECORD)


class Reader:
    """Reads an archive in order, file by file, in pieces of at most PIECE bytes.

    Its methods raise ValueError, zlib.error or OSError.
    """

    def __init__(self, file: BinaryIO) -> None:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a file")
        self._stream = _Stream(file)
        self._left = min(LARGEST_BYTES, max(ALWAYS_ALLOWED, LARGEST_RATIO * status.st_size))
        self._read = 0
        self.root = ""

    def first(self, name: str, largest_bytes: int) -> bytes:
        """The first file, which must be `name`. Sets `root` to the folder before it."""
        self._left, rest = largest_bytes, self._left - largest_bytes
        block = self._bytes(BLOCK)
        fields = block[345:500].rstrip(b"\0"), block[:100].rstrip(b"\0")
        path = b"/".join(field for field in fields if field).decode()
        if not path.endswith(f"/{name}"):
            raise ValueError(f"it does not begin with {name} in a folder")
        self.root = path[: -len(name) - 1]
        data = b"".join(self._file(path, block))
        self._left += rest
        return data

    def next(self, name: str) -> Iterator[bytes]:
        """The pieces of the next file, which must be `name`. Consume all before the next call."""
        return self._file(f"{self.root}/{name}", self._bytes(BLOCK))

    def end(self) -> None:
        """Raises ValueError if anything but the final zeros follows."""
        zeros = ending(self._read)
        if self._bytes(len(zeros)) != zeros:
            raise ValueError("something follows its last file")
        self._stream.end()

    def _file(self, path: str, block: bytes) -> Iterator[bytes]:
        field = block[124:135]
        size = int(field, 8) if field.isdigit() else 0
        if block != header(path, size):
            raise ValueError(f"the header of {path!r} is not the canonical one")
        for start in range(0, size, PIECE):
            yield self._bytes(min(PIECE, size - start))
        if self._bytes(-size % BLOCK) != filling(size):
            raise ValueError(f"there is something between {path!r} and the next file")

    def _bytes(self, count: int) -> bytes:
        if count > self._left:
            raise ValueError("it unpacks to far more than a bundle of its size")
        self._left -= count
        self._read += count
        return self._stream.read(count)


class _Stream:
    """The unpacked bytes of a gzip file, never more in memory than requested."""

    def __init__(self, file: BinaryIO) -> None:
        start = file.read(len(GZIP_HEADER))
        if start != GZIP_HEADER:
            raise ValueError("it does not begin like a bundle")
        self._file = file
        self._gzip = zlib.decompressobj(wbits=31)  # gzip, which checks CRC-32 and length
        self._gzip.decompress(start)

    def read(self, count: int) -> bytes:
        parts: List[bytes] = []
        while count:
            part, ended = self._some(count)
            if ended and not part:
                raise ValueError("it is cut short")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def end(self) -> None:
        """Verifies the final checksum. Raises ValueError if anything follows."""
        ended = False
        while not ended:
            part, ended = self._some(1)
            if part:
                raise ValueError("something follows its last file")
        if not self._gzip.eof:
            raise ValueError("it is cut short")
        if self._gzip.unused_data or self._file.read(1):
            raise ValueError("something follows its end")

    def _some(self, count: int) -> Tuple[bytes, bool]:
        """At most `count` bytes, and whether this was the end."""
        packed = self._gzip.unconsumed_tail or self._file.read(CHUNK)
        part = self._gzip.decompress(packed, count)
        return part, self._gzip.eof or not (packed or part)
