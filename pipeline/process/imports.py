"""Imports TensorFlow quietly and in half of the time, and keeps its freed memory for reuse."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import cast

# parameters of mallopt(3), by their numbers in glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
LARGEST_INT = 2**31 - 1
TOP_PAD_BYTES = 64 * 2**20  # holds the tensors of a batch; pages count only once they are written

# If true, two trainings on the same GPU are equal; XLA then does not search for its fastest kernels
XLA_DETERMINISM = "--xla_gpu_deterministic_ops"


def keep_freed_memory() -> None:
    """Makes glibc reuse freed memory in this process and those forked from it.

    By default glibc returns large blocks to the system and requests them again for every batch, and
    the system clears each page before it hands it out. On processors without VNNI, where TensorFlow
    allocates its tensors from glibc, that took 40 % of the training time. Other C libraries have no
    `mallopt` and are left unchanged.

    Page faults with and without this setting, measured with TF_ENABLE_ONEDNN_OPTS=0: 50 and 42,000
    per 256 images of a training, also in a search worker; 162,000 and 248,000 for an evaluation of
    10,000 images; 66,000 and 74,000 for the six conversions of an export. Processes that run a
    device runtime instead of TensorFlow do not use it, since they have few page faults anyway:
    verification 0.25 per image (`serving.measure`, which reads the image from a file), a device
    0.01 per call, the server 0.03 per request of one image. Only requests of 64 images in JSON
    would gain: they cause 100 faults each, and none with the setting.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, LARGEST_INT)  # the heap never shrinks,
        mallopt(M_TOP_PAD, TOP_PAD_BYTES)  # grows in large steps,
        mallopt(M_MMAP_MAX, 0)  # and holds large blocks too instead of mapping each of them


@contextmanager
def quiet() -> Iterator[None]:
    """Discards what native code writes to stderr; Python's own stderr still works."""
    stderr, original, devnull = sys.stderr, os.dup(2), os.open(os.devnull, os.O_WRONLY)
    with os.fdopen(original, "w", closefd=False) as python_stderr:
        sys.stderr = python_stderr
        os.dup2(devnull, 2)
        try:
            yield
        finally:
            os.dup2(original, 2)
            sys.stderr = stderr
            os.close(devnull)
    os.close(original)


@contextmanager
def importing() -> Iterator[None]:
    """Pauses the garbage collector for an import of thousands of modules.

    That takes a quarter less time: the collector would scan all modules again and again, and none
    of them is ever garbage.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def ignore_settings_of_user() -> None:
    """Sets what Keras read from ~/.keras/keras.json to its defaults.

    With channels first, as an old project may have asked for, the convolutions of TensorFlow do
    not run on a processor, and another type or epsilon gives another model.
    """
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


@contextmanager
def keras_import() -> Iterator[None]:
    """For the first import of Keras: quiet, in half of the time, by default on TensorFlow.

    It makes JAX deterministic, which reads its flags on first use; `make_deterministic` does the
    same for TensorFlow. It also makes glibc keep freed memory, as search workers train without
    `stage.run`.

    Keras and TensorFlow import scikit-learn, pandas, matplotlib and JAX if these are installed, for
    features that are not used here. None in sys.modules makes them look uninstalled (Python
    Language Reference, 5.3.1).
    """
    keep_freed_memory()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as serving.runtimes says
    os.environ["KERAS_BACKEND"] = backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if importlib.util.find_spec(backend) is None:  # often while a stage is imported, before `run`
        sys.exit(
            f"error: KERAS_BACKEND is {backend}, which is not installed here; "
            "unset it, and the training runs on TensorFlow"
        )
    if backend == "jax" and XLA_DETERMINISM not in os.environ.get("XLA_FLAGS", ""):
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} {XLA_DETERMINISM}=true".strip()
    hidden = {"sklearn", "pandas", "matplotlib", "jax"} - {backend} - sys.modules.keys()
    modules = cast(dict[str, ModuleType | None], sys.modules)
    modules.update(dict.fromkeys(hidden))
    try:
        with quiet(), importing():
            yield
            ignore_settings_of_user()
    finally:
        for name in hidden:
            del modules[name]
