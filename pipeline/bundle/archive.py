"""A folder as the .tar.gz of a bundle: equal files, equal bytes. `serving.archive` tells which."""

from __future__ import annotations

import gzip
from pathlib import Path

from pipeline.process.errors import UserError
from serving import archive, bundle, checksums
from serving.errors import BundleError


def write(folder: Path, target: Path, root: str) -> None:
    """Packs `folder` under the name `root`, after a SHA256SUMS of its files is written into it."""
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    files = {name: (folder / name).read_bytes() for name in names if name != checksums.MANIFEST}
    manifest = checksums.manifest(files)
    (folder / checksums.MANIFEST).write_bytes(manifest)
    size = 0
    with target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as zipped:
        for name, data in {checksums.MANIFEST: manifest, **files}.items():
            size += zipped.write(
                _header(f"{root}/{name}", len(data)) + data + archive.filling(len(data))
            )
        zipped.write(archive.ending(size))


def _header(name: str, size: int) -> bytes:
    try:
        return archive.header(name, size)
    except ValueError as error:
        raise UserError(f"{error}; a bundle cannot hold it") from None


def check(path: Path) -> None:
    """Raises UserError for an archive that a device would refuse, and says why it would."""
    try:
        bundle.Bundle(path, draft=True)
    except BundleError as error:
        raise UserError(f"no device would take this bundle: {error}") from None


def unpack(source: Path, folder: Path) -> Path:
    """Unpacks a verified bundle below `folder`; the folder that holds its files. Raises serving.BundleError."""
    opened = bundle.Bundle(source)
    root = folder / f"{opened.card.name}-{opened.card.version}"
    for name in opened.digests:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(opened.read(name))
    (root / checksums.MANIFEST).write_bytes(checksums.listing(opened.digests))
    return root
