"""Published files with a known SHA-256, from DATA_MIRROR or from the publisher's address."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.files import artifacts, fetch
from pipeline.files.fetch import Source, SourceError

OTHER_FILE = "is not the published file (its SHA-256 differs)"


def sources(address: str, sha256: str) -> list[Source[bytes]]:
    """The file of that name in DATA_MIRROR, then the one at `address`."""
    publisher = Source(address, lambda: fetch.download(address))
    return [
        *mirror(address.rsplit("/", 1)[-1], sha256),
        publisher.then(lambda data: checked(data, sha256)),
    ]


def mirror(file: str, sha256: str) -> list[Source[bytes]]:
    """The file in DATA_MIRROR; no source if that is not set."""
    return [source.then(lambda data: checked(data, sha256)) for source in fetch.mirrored(file)]


def on_disk(address: str, sha256: str, folder: Path, largest: int) -> list[Source[Path]]:
    """The same for a file of up to `largest` bytes, which memory need not hold.

    It stays where DATA_MIRROR has it, or comes into `folder`, where it may be already.
    """
    path = folder / address.rsplit("/", 1)[-1]
    fetched = fetch.on_disk(address, folder, largest)
    sources = [Source(f"{path}", lambda: path)] * path.exists() + fetched
    return [source.then(lambda path: _checked_file(path, sha256)) for source in sources]


def _checked_file(path: Path, sha256: str) -> Path:
    if artifacts.sha256(path) != sha256:
        raise SourceError(OTHER_FILE)
    return path


def checked(data: bytes, sha256: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SourceError(OTHER_FILE)
    return data


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file in a tar.gz."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    yield member.name, file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise SourceError(f"not a readable tar.gz ({error})") from None
