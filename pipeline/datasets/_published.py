"""Published files with a known SHA-256, from DATA_MIRROR or from the publisher's address."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator

from pipeline.datasets import _fetch as fetch
from pipeline.datasets._fetch import Source, SourceError


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


def checked(data: bytes, sha256: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SourceError("is not the published file (its SHA-256 differs)")
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
