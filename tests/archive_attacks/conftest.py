"""Headers and members of tar files, and what opens an attacked archive."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from serving import Bundle, BundleError
from serving import archive as layout
from serving.checksums import MANIFEST, manifest
from tests.hostile_bundles import ROOT_FOLDER, Files

BLOCK = layout.BLOCK


def header(
    name: str, size: int, layout: Literal[0, 1, 2] = tarfile.USTAR_FORMAT, **fields: Any
) -> bytes:
    """A header as tarfile makes it, with other `fields`."""
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(format=layout)


def member(name: str, data: bytes, **fields: Any) -> bytes:
    return header(name, len(data), **fields) + data + bytes(-len(data) % BLOCK)


@pytest.fixture(scope="module")
def parts(files: Files) -> list[tuple[str, bytes]]:
    """The names and contents in the archive of `files`, in its order."""
    return [
        (f"{ROOT_FOLDER}/{name}", data)
        for name, data in {MANIFEST: manifest(files), **dict(sorted(files.items()))}.items()
    ]


def tar_of(parts: list[tuple[str, bytes]]) -> bytes:
    content = b"".join(
        layout.header(name, len(data)) + data + layout.filling(len(data)) for name, data in parts
    )
    return content + layout.ending(len(content))


@pytest.fixture
def attack(tmp_path: Path, files: Files) -> Callable[[bytes], str]:
    """Opens an archive: why it is refused, or "" if it holds exactly `files`."""

    def opened(blob: bytes) -> str:
        path = tmp_path / "attacked.tar.gz"
        path.write_bytes(blob)
        try:
            bundle = Bundle(path)
        except BundleError as error:
            assert str(error).isprintable()
            return str(error)
        assert {name: bundle.read(name) for name in bundle.digests} == files
        return ""

    return opened
