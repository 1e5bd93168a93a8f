"""Atomic writes, and files and folders that one process at a time may lock."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that replaces `path` when the block succeeds, and is deleted otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def sync(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to the disk, so that they survive a power cut."""
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
def locked(file: Path) -> Iterator[None]:
    """Admits one process at a time; the lock `file` is made if need be, and stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Locks `folder` for this process. If the folder is empty at the end, it is removed."""
    handle = _lock(folder)
    try:
        yield
    finally:
        with suppress(OSError):  # a folder that is not empty stays
            if _is_same(handle, folder):
                folder.rmdir()
        os.close(handle)


def _lock(folder: Path) -> int:
    """An open handle that locks `folder`.

    Another process may remove the folder while this one waits for the lock. Then the folder is made
    and locked again.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY)
        # Another process removed the folder between the two calls, or within the first.
        except (FileExistsError, FileNotFoundError):
            if folder.is_file():
                raise
            continue
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_same(handle, folder):
            return handle
        os.close(handle)


def _is_same(handle: int, folder: Path) -> bool:
    """Whether the handle is on the folder that has this name now."""
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False
