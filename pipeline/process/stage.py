"""Runs a stage: reports user errors in one sentence, and exits when `dvc repro` does."""

from __future__ import annotations

import errno
import getpass
import os
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from pipeline.process.errors import UserError
from pipeline.process.imports import keep_freed_memory

DVC_RUNS_IN = ("dvc", "edgeproof", "pipeline.cli")  # a word of each command that runs stages
PAUSE = 0.2  # seconds between two looks whether DVC still runs


def home() -> Path:
    """The user's checkout, also from within the copy that DVC makes for a queued experiment."""
    folder = Path.cwd()
    parts = folder.parts
    for index in range(len(parts) - 2):
        if parts[index : index + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:index])
    return folder


def run(main: Callable[[], None]) -> None:
    """Runs `main`. Exits with 1 after a user error, told in one sentence, or 130 after Ctrl-C."""
    keep_freed_memory()
    name_user()
    end_with_dvc()
    try:
        main()
        print(end="", flush=True)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sentence = describe(error)
        if sentence is None:
            raise
        _drop_unwritten()
        sys.exit(f"error: {sentence}")


def _drop_unwritten() -> None:
    """Drops output that cannot be written: Python would try again at its end, and complain."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def describe(error: OSError) -> str | None:
    """The sentence for a fault of the machine that the user can fix; None for any other."""
    name = error.filename or "the output"
    if error.errno == errno.EACCES and _may_not_run(Path(name)):
        folder = tempfile.gettempdir()
        return f"programs may not run in {folder} (noexec): set TMPDIR to another folder"
    return {
        errno.ENOSPC: f"{name} could not be written: the disk is full; "
        "free some space and run again",
        errno.EDQUOT: f"{name} could not be written: the disk quota is used up; "
        "free some space and run again",
        errno.EFBIG: f"{name} could not be written: it is larger than `ulimit -f` or the file "
        "system allows",
        errno.EACCES: f"{name} may not be read or written by this user: change its permissions",
        errno.EPERM: f"{name} may not be changed by this user: change its permissions",
        errno.EROFS: f"{name} is on a read-only file system: run in a folder that is writable",
        errno.EPIPE: "the reader of the output, such as `head`, stopped early; run again to go on",
        errno.ENOENT: f"{name} is missing: run the stage that makes it, "
        "or `edgeproof run` for all of them",
    }.get(error.errno or 0)


def _may_not_run(path: Path) -> bool:
    """Whether it is a program in the temporary folder, from which some servers let none run.

    It may have been deleted since.
    """
    folder = tempfile.gettempdir()
    if not path.is_relative_to(folder):
        return False
    is_program = not path.exists() or bool(path.stat().st_mode & stat.S_IXUSR)
    return is_program and bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def name_user() -> None:
    """Names a user after its number if it has no name, as in a container: DVC and MLflow ask."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = str(os.getuid())


def duration(seconds: float) -> str:
    """A duration for people, in seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def end_with_dvc() -> None:
    """Exits when the parent `dvc` does, so that a killed `dvc repro` leaves no stage running."""
    if "DVC_STAGE" not in os.environ:
        return
    ancestors = [
        parent
        for parent in psutil.Process().parents()
        if any(name in " ".join(parent.cmdline()[:3]) for name in DVC_RUNS_IN)
    ]
    if not ancestors:
        return
    dvc = ancestors[0]

    def watch() -> None:
        while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(PAUSE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
