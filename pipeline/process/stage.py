"""How every stage runs: it ends with `dvc repro`, answers a user's mistake in one sentence, and writes nothing by halves and
nowhere that another process does.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import cast

import psutil

# parameters of mallopt(3), by their numbers in glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
LARGEST_INT = 2**31 - 1
TOP_PAD_BYTES = 64 * 2**20  # room for the tensors of a batch; the system gives a page only when it is written to


class UserError(Exception):
    """What the user can mend: one sentence that names the thing, what is wrong with it and what is allowed."""


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


def keep_freed_memory() -> None:
    """Has glibc keep what is freed for what is allocated next, in this process and those forked from it.

    By default glibc returns large blocks to the system and asks for them anew with every batch, and the system clears each
    page before it hands it over again. Where TensorFlow takes its tensors from glibc, as it does on processors without VNNI,
    that was 40 % of the time of a training. Other C libraries have no `mallopt`, and are left as they are.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, LARGEST_INT)  # the heap never shrinks,
        mallopt(M_TOP_PAD, TOP_PAD_BYTES)  # grows by much at a time,
        mallopt(M_MMAP_MAX, 0)  # and holds large blocks too, which would otherwise be mapped and unmapped one by one


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
    ancestors = [parent for parent in psutil.Process().parents() if "dvc" in " ".join(parent.cmdline()[:3])]
    if not ancestors:
        return
    dvc = ancestors[0]

    def watch() -> None:
        while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(every_seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def quiet() -> Iterator[None]:
    """Sends what native code writes to stderr nowhere; what Python writes there passes as ever."""
    stderr, kept, nowhere = sys.stderr, os.dup(2), os.open(os.devnull, os.O_WRONLY)
    with os.fdopen(kept, "w", closefd=False) as passing:
        sys.stderr = passing
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            sys.stderr = stderr
            os.close(nowhere)
    os.close(kept)


@contextmanager
def importing() -> Iterator[None]:
    """For an import of thousands of modules, which takes a quarter less without the garbage collector: it would look through all
    of them again and again, and none is ever garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def keras_import() -> Iterator[None]:
    """For the first import of Keras: TensorFlow by default, without its greetings on stderr, in half of the time, and with memory
    that is kept between batches; what trains in a worker comes by here, and not by `run`.

    Keras and TensorFlow import scikit-learn, pandas, matplotlib and JAX wherever these are found, for features that nothing here
    uses; None in sys.modules says that they are not (Python Language Reference, 5.3.1).
    """
    keep_freed_memory()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    hidden = {"sklearn", "pandas", "matplotlib", "jax"} - {backend} - sys.modules.keys()
    modules = cast(dict[str, ModuleType | None], sys.modules)
    modules.update(dict.fromkeys(hidden))
    try:
        with quiet(), importing():
            yield
    finally:
        for name in hidden:
            del modules[name]


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
        except (FileExistsError, FileNotFoundError):  # removed between the two calls, or within the first
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
