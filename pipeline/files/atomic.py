"""Files that are written whole or not at all, and folders that one process at a time is in."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        settle(temporary)
        temporary.replace(path)
        settle(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Returns when a file, or the names in a folder, are on the disk, where a power cut leaves them as they are."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lets one process at a time in, until it removes the folder or leaves; an empty folder goes with it."""
    handle = _held(folder)
    try:
        yield
    finally:
        with suppress(OSError):  # what is not empty stays
            if _is(handle, folder):
                folder.rmdir()
        os.close(handle)


def _held(folder: Path) -> int:
    """A handle on `folder` that locks it. Who waited may hold one that has been removed meanwhile, and takes the new one."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY)
        except (
            FileExistsError,
            FileNotFoundError,
        ):  # removed between the two calls, or within the first
            if folder.is_file():
                raise
            continue
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is(handle, folder):
            return handle
        os.close(handle)


def _is(handle: int, folder: Path) -> bool:
    """Whether it is the folder that has this name now."""
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False
