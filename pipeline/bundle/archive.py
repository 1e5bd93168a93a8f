"""Packs a folder into the .tar.gz of a bundle: equal files give equal bytes.

`serving.archive` defines the format.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from pipeline.process.errors import UserError
from serving import archive, bundle, checksums
from serving.errors import BundleError


def write(folder: Path, target: Path, root: str) -> None:
    """Writes SHA256SUMS into `folder`, then packs the folder under the name `root`."""
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    files = {name: (folder / name).read_bytes() for name in names if name != checksums.MANIFEST}
    manifest = checksums.manifest(files)
    (folder / checksums.MANIFEST).write_bytes(manifest)
    size = 0
    with target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as zipped:
        for name, data in {checksums.MANIFEST: manifest, **files}.items():
            header = _header(f"{root}/{name}", len(data))
            size += zipped.write(header + data + archive.filling(len(data)))
        zipped.write(archive.ending(size))


def _header(name: str, size: int) -> bytes:
    try:
        return archive.header(name, size)
    except ValueError as error:
        raise UserError(f"{error}; a bundle cannot contain this file") from None


def check(path: Path) -> None:
    """Raises UserError, with the reason, for an archive that a device would refuse."""
    try:
        bundle.Bundle(path, draft=True)
    except BundleError as error:
        raise UserError(f"no device would accept this bundle: {error}") from None


def unpack(source: Path, folder: Path) -> Path:
    """Unpacks a verified bundle below `folder` and returns the folder of its files.

    Raises serving.BundleError.
    """
    opened = bundle.Bundle(source)
    root = folder / f"{opened.card.name}-{opened.card.version}"
    for name in opened.digests:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(opened.read(name))
    (root / checksums.MANIFEST).write_bytes(checksums.listing(opened.digests))
    return root
