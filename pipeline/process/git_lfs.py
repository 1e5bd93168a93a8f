"""Pointers of Git LFS: small texts in place of large files that a clone did not fetch."""

from __future__ import annotations

from pathlib import Path

from pipeline.process.errors import UserError

BEGINNING = b"version https://git-lfs.github.com/spec/"
WHY = "is a pointer of Git LFS, and not the file itself; fetch it with `git lfs pull`"


def refuse(path: Path) -> None:
    """Raises UserError if the file at `path` is a pointer."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        if file.read(len(BEGINNING)) == BEGINNING:
            raise UserError(f"{path} {WHY}")
