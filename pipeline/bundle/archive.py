"""A folder as a .tar.gz: the same files, the same bytes."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

from serving import bundle


def write(folder: Path, target: Path, root: str) -> None:
    """Packs `folder` under the name `root`, without times and owners, after a SHA256SUMS of its files is written into it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != bundle.MANIFEST)
    manifest = folder / bundle.MANIFEST
    manifest.write_bytes(bundle.manifest({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}))
    with target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for path in [manifest, *paths]:
            info = tarfile.TarInfo(f"{root}/{path.relative_to(folder).as_posix()}")
            info.size, info.mode = path.stat().st_size, 0o755 if path.parent.name == "programs" else 0o644
            with path.open("rb") as file:
                tar.addfile(info, file)


def unpack(source: Path, folder: Path) -> Path:
    """Unpacks a verified bundle below `folder`; the folder that holds its files. Raises serving.BundleError."""
    opened = bundle.Bundle(source)
    root = folder / f"{opened.card.name}-{opened.card.version}"
    for name in [*opened.digests, bundle.MANIFEST]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(opened.read(name) if name != bundle.MANIFEST else bundle.manifest({n: opened.read(n) for n in opened.digests}))
    return root
