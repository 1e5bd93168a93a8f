"""How every stage runs: it ends with `dvc repro`, and answers a user's mistake in one sentence."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from pipeline.process.errors import UserError
from pipeline.process.imports import keep_freed_memory


def home() -> Path:
    """The user's checkout, also from the copy that DVC makes of it for a queued experiment."""
    here = Path.cwd()
    parts = here.parts
    for index in range(len(parts) - 2):
        if parts[index : index + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:index])
    return here


def run(main: Callable[[], None]) -> None:
    """Runs `main` and exits: 0, or 1 after one sentence on stderr, or 130 after Ctrl-C."""
    keep_freed_memory()
    end_with_dvc()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sentence = describe(error)
        if sentence is None:
            raise
        sys.exit(f"error: {sentence}")


def describe(error: OSError) -> str | None:
    """The sentence for a failure of the machine that its user can mend; None for any other."""
    name = error.filename or "the output"
    return {
        errno.ENOSPC: f"{name} could not be written: the disk is full; free some space and run again",
        errno.EDQUOT: f"{name} could not be written: the disk quota is used up; free some space and run again",
        errno.EACCES: f"{name} may not be read or written by this user: change its permissions",
        errno.EPERM: f"{name} may not be changed by this user: change its permissions",
        errno.EROFS: f"{name} lies on a read-only file system: run where you may write",
        errno.ENOENT: f"{name} is missing: run the stage that makes it, or `dvc repro` for all of them",
    }.get(error.errno or 0)


def duration(seconds: float) -> str:
    """As one says how long something takes."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def end_with_dvc(every_seconds: float = 0.2) -> None:
    """Ends this process when `dvc` is gone, so that a killed `dvc repro` leaves no writer behind."""
    if "DVC_STAGE" not in os.environ:
        return
    ancestors = [
        parent for parent in psutil.Process().parents() if "dvc" in " ".join(parent.cmdline()[:3])
    ]
    if not ancestors:
        return
    dvc = ancestors[0]

    def watch() -> None:
        while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(every_seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
