"""What an attacker makes of a bundle: packed archives, zip bombs, and JSON with other values."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from serving import Bundle
from serving import archive as layout
from serving.checksums import MANIFEST, listing
from serving.model_card import FILE
from tests.conftest import ROOT

FORMAT = "onnx_float32"
ROOT_FOLDER = "mnist-digits-1.0.0"
# Bytes that a process may take to refuse a bundle; Python and numpy take 40 MB of them.
MEMORY = 160 << 20
# The resource module's peak would include the memory of the tests' process at the start.
OPEN = """
import re, sys
from pathlib import Path
from serving import Bundle, BundleError
try:
    Bundle(*sys.argv[1:])
except BundleError as error:
    print(error)
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files(archive: Path) -> Files:
    """A complete bundle with one model file, small enough to be attacked a thousand times."""
    opened = Bundle(archive)
    card = json.loads(opened.read(FILE))
    card["files"] = [file for file in card["files"] if file["format"] == FORMAT]
    card["embedded"], card["reference"] = [], None
    names = (f"{FORMAT}.onnx", "golden.npz", "pictures/confusion.png")
    return {FILE: json.dumps(card).encode(), **{name: opened.read(name) for name in names}}


def packed(tar: bytes, level: int = 1) -> bytes:
    """A gzip stream with the header of a bundle."""
    deflate = zlib.compressobj(level, wbits=-15)
    body = deflate.compress(tar) + deflate.flush()
    ends = zlib.crc32(tar), len(tar)
    return layout.GZIP_HEADER + body + b"".join(end.to_bytes(4, "little") for end in ends)


ZEROS = 1 << 20


def bomb(files: Files, size: int, count: int) -> bytes:
    """An archive of `files` and `count` files of `size` zeros, with correct checksums."""
    digest = hashlib.sha256()
    for _ in range(size // ZEROS):
        digest.update(bytes(ZEROS))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    zeros = {f"zeros-{index:03}": digest.hexdigest() for index in range(count)}
    blob, written, checksum = [layout.GZIP_HEADER], 0, 0
    for chunk in _chunks(listing({**digests, **zeros}), files, zeros, size):
        blob.append(_deflated(chunk))
        written, checksum = written + len(chunk), zlib.crc32(chunk, checksum)
    end = layout.ending(written)
    last = zlib.compressobj(wbits=-15)
    blob += [last.compress(end) + last.flush(), zlib.crc32(end, checksum).to_bytes(4, "little")]
    return b"".join([*blob, (written + len(end)).to_bytes(4, "little")])


def _chunks(listed: bytes, files: Files, zeros: dict[str, str], size: int) -> Iterator[bytes]:
    for name, data in [(MANIFEST, listed), *sorted(files.items())]:
        yield layout.header(f"{ROOT_FOLDER}/{name}", len(data)) + data + layout.filling(len(data))
    for name in zeros:
        yield layout.header(f"{ROOT_FOLDER}/{name}", size)
        yield from [bytes(ZEROS)] * (size // ZEROS)


@cache
def _deflated(chunk: bytes) -> bytes:
    deflate = zlib.compressobj(1, wbits=-15)
    return deflate.compress(chunk) + deflate.flush(zlib.Z_FULL_FLUSH)


def opened_in_a_process(*arguments: str | Path) -> tuple[str, int]:
    """Opens a bundle: why it was refused, or "", and the peak memory of the process in bytes."""
    command = [sys.executable, "-c", OPEN, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    *sentences, memory = done.stdout.splitlines()
    assert len(sentences) <= 1, sentences
    return "".join(sentences), int(memory)


WRONG: tuple[Any, ...] = (
    *(None, "x", "", 1, -1, 0.5, True, [], {}, [[]], [1, 2, 3, 4]),
    *("\x1b[31mred", "\ud800", 10**30, float("nan"), 1e300, ...),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a JSON value; only the first entry of a list."""
    yield path
    entries: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value[:1])
    for key, inner in entries:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """A JSON value with `other` at `path`; ... removes it."""
    if not path:
        return other
    result = copy.copy(value)
    if path[1:] == () and other is ...:
        del result[path[0]]
    else:
        result[path[0]] = replaced(result[path[0]], path[1:], other) if path[1:] else other
    return result


def without_array(npz: bytes, name: str) -> bytes:
    """The npz with a text in place of an array."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(npz)) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, b"text" if entry == f"{name}.npy" else old.read(entry))
    return buffer.getvalue()
