"""What TensorFlow asks of a process that imports it: memory that is kept, silence, half of the time."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import cast

# parameters of mallopt(3), by their numbers in glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
LARGEST_INT = 2**31 - 1
TOP_PAD_BYTES = (
    64 * 2**20
)  # room for the tensors of a batch; the system gives a page only when it is written to


def keep_freed_memory() -> None:
    """Has glibc keep what is freed for what is allocated next, in this process and those forked from it.

    By default glibc returns large blocks to the system and asks for them anew with every batch, and the system clears each
    page before it hands it over again. Where TensorFlow takes its tensors from glibc, as it does on processors without VNNI,
    that was 40 % of the time of a training. Other C libraries have no `mallopt`, and are left as they are.

    Page faults with this setting and without it, measured with TF_ENABLE_ONEDNN_OPTS=0: 50 and 42,000 for each 256 images
    of a training, also in a worker of a search; 162,000 and 248,000 for an evaluation of 10,000 images as a whole; 66,000
    and 74,000 for the six conversions of an export. Processes with a runtime in place of TensorFlow do without it, as they
    have hardly any either way: verification 0.25 an image (`serving.measure`; it reads that from a file), a device 0.01 a
    call, the server 0.03 a request of one image. Of all of these only requests of 64 images in JSON would gain: they have 100
    faults each, and none with the setting.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, LARGEST_INT)  # the heap never shrinks,
        mallopt(M_TOP_PAD, TOP_PAD_BYTES)  # grows by much at a time,
        mallopt(
            M_MMAP_MAX, 0
        )  # and holds large blocks too, which would otherwise be mapped and unmapped one by one


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
