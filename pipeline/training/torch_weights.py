"""Weights saved by PyTorch before 1.6, read without PyTorch and without running what they hold.

Such a file is a row of pickles: a magic number, the version, facts about the system, a dictionary
of tensors by name, and the keys of the storages; then the storages, as raw numbers. A pickle may
call any function, so only the few names that a dictionary of tensors needs are known here.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
TYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


class _TensorsOnly(pickle.Unpickler):
    """Knows ordered dictionaries, tensors and storages; anything else is refused."""

    def __init__(self, file: io.BytesIO, storages: dict[str, Array]) -> None:
        super().__init__(file, encoding="utf-8")
        self.file, self.storages = file, storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a dictionary of tensors")

    def persistent_load(self, identity: Any) -> Array:
        """The storage of that identity: ("storage", type, key, device, count, ...)."""
        _, dtype, key, _, count = identity[:5]
        if count * np.dtype(dtype).itemsize > len(self.file.getbuffer()):
            raise pickle.UnpicklingError(f"a storage of {count} numbers is larger than the file")
        return self.storages.setdefault(key, np.zeros(count, dtype))


def _tensor(
    storage: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> Array:
    """A view of the storage. NumPy raises ValueError if it would reach beyond it."""
    size = storage.itemsize
    steps = tuple(stride * size for stride in strides)
    return np.ndarray(shape, storage.dtype, storage, offset * size, steps)


def _parameter(tensor: Array, *_: Any) -> Array:
    return tensor


def read(path: Path) -> dict[str, Array]:
    """The tensors in `path` by name. Raises UserError for any other file."""
    try:
        return _read(io.BytesIO(path.read_bytes()))
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(
            f"{path} is not a dictionary of tensors saved by PyTorch before 1.6 "
            f"({' '.join(str(error).split())[:200]}); download it again"
        ) from None


def _read(file: io.BytesIO) -> dict[str, Array]:
    storages: dict[str, Array] = {}

    def load() -> Any:
        return _TensorsOnly(file, storages).load()

    if (load(), load()) != (MAGIC, PROTOCOL):
        raise ValueError("the magic number or the version differs")
    if not load()["little_endian"]:
        raise ValueError("the numbers are big-endian")
    tensors = load()
    for key in load():
        (count,) = struct.unpack("<q", file.read(8))
        storage = storages[key]
        if count != storage.size:
            raise ValueError(f"a storage has {count} numbers; expected {storage.size}")
        storage[:] = np.frombuffer(file.read(storage.nbytes), storage.dtype)
    if file.read(1):
        raise ValueError("there is more after the last storage")
    if not all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        raise ValueError("it holds something other than tensors")
    return dict(tensors)
