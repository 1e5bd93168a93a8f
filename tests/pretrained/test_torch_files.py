"""Weights in what PyTorch wrote before version 1.6, which are read without PyTorch."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.training import torch_weights

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class FakeTensor:
    """Pickles as PyTorch's tensors do."""

    def __init__(self, array: Array, offset: int = 0, size: int | None = None) -> None:
        self.array, self.offset, self.size = array, offset, size

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        shape = self.array.shape if self.size is None else (self.size,)
        strides = tuple(step // self.array.itemsize for step in self.array.strides)[: len(shape)]
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (Storage(self.array), self.offset, shape, strides, False, OrderedDict())


class Storage:
    def __init__(self, array: Array) -> None:
        self.array = array


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty functions and classes of PyTorch's names, to which a pickle can refer."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*arguments: Any) -> None:
        raise AssertionError("the test only writes")

    for holder, value in ((module, type("FloatStorage", (), {})), (utils, _rebuild_tensor_v2)):
        value.__module__, value.__qualname__ = holder.__name__, value.__name__
        setattr(holder, value.__name__, value)
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def saved(tensors: dict[str, Any], claimed: int | None = None) -> bytes:
    """The file of these tensors; every storage claims to have `claimed` numbers."""
    arrays: dict[str, Array] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, Storage):
                return None
            key = str(id(value.array))
            arrays[key] = value.array
            kind = sys.modules["torch"].FloatStorage
            return "storage", kind, key, "cpu", claimed or value.array.size, None

    file = io.BytesIO()
    for value in (torch_weights.MAGIC, torch_weights.PROTOCOL, {"little_endian": True}):
        pickle.dump(value, file, 2)
    Pickler(file, 2).dump(OrderedDict(tensors))
    pickle.dump(list(arrays), file, 2)
    for array in arrays.values():
        file.write(struct.pack("<q", array.size) + array.tobytes())
    return file.getvalue()


@pytest.mark.usefixtures("torch")
def test_tensors_saved_by_pytorch_are_read_without_it(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float32)}
    tensors = {name: FakeTensor(array) for name, array in arrays.items()}
    (tmp_path / "w.pth").write_bytes(saved({**tensors, "view": FakeTensor(arrays["b"], 1, 2)}))
    read = torch_weights.read(tmp_path / "w.pth")
    assert list(read) == ["a", "b", "view"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
    np.testing.assert_array_equal(read["view"], [1, 1])


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.usefixtures("torch")
def test_a_hostile_file_of_weights_runs_nothing_and_reads_nothing_beyond_it(tmp_path: Path) -> None:
    ones = np.ones(4, np.float32)
    whole = saved({"a": FakeTensor(ones)})
    cases = {
        "posix.system is not part": saved({"a": Hostile(tmp_path / "ran")}),
        "__builtin__.eval is not part": saved({"a": FakeTensor(ones), "b": eval}),
        "size of buffer": saved({"a": FakeTensor(ones, 0, 5)}),
        "storage of 1000000000000 numbers is larger": saved({"a": FakeTensor(ones)}, 10**12),
        "something other than tensors": saved({"a": 3}),
        "more after the last": whole + b"x",
        "Ran out of input|pickle data was truncated|buffer": whole[:-20],
        "magic number": pickle.dumps(1) + whole,
        "persistent IDs": b"PK\3\4" + whole,
    }
    for reason, data in cases.items():
        (tmp_path / "w.pth").write_bytes(data)
        with pytest.raises(UserError, match=rf"w.pth is not a dictionary of tensors.*({reason})"):
            torch_weights.read(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()
