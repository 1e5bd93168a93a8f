"""Freed memory is kept for the next batch, and the weights stay the same."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from pipeline.datasets import Raw
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.process import imports
from tests.conftest import ROOT

TRAINING = """
import hashlib, json, resource, sys
from pathlib import Path
from pipeline.config import params
from pipeline.process import imports
if sys.argv[2] == "given back":
    imports.keep_freed_memory = lambda: None
from pipeline.training import fit
from pipeline.training.batches import Data
import numpy as np
folder = Path(sys.argv[1])
data = np.load(folder / "data.npz")
train = params.load().train.model_copy(update={"epochs": 2})
faults = []
split = Data((data["x"], data["y"]), (data["x"][:100], data["y"][:100]), 10)
fit.fit(train, split, folder / sys.argv[2],
        lambda row: faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt))
weights = next((folder / sys.argv[2]).glob("2.weights.h5")).read_bytes()
print(json.dumps({"weights": hashlib.sha256(weights).hexdigest(), "faults": faults[1] - faults[0]}))
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no mallopt"
)
def test_a_training_that_keeps_its_memory_has_the_same_weights_and_a_tenth_of_the_page_faults(
    raw_mnist: Raw, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As on a processor without VNNI, where TensorFlow allocates its tensors from glibc.

    Page faults are those of the second epoch, after the warm-up.
    """
    folder = tmp_path_factory.mktemp("memory")
    np.savez(folder / "data.npz", x=raw_mnist.train_images[:2560], y=raw_mnist.train_labels[:2560])

    def trained(memory: str) -> dict[str, Any]:
        environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "ONEDNN_MAX_CPU_ISA": "AVX2"}
        command = [sys.executable, "-c", TRAINING, str(folder), memory]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    kept, given_back = trained("kept"), trained("given back")
    assert kept["weights"] == given_back["weights"]
    assert kept["faults"] < given_back["faults"] / 10


@pytest.mark.parametrize("library", [None, object()])
def test_a_c_library_without_the_call_is_left_as_it_is(
    library: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: None) -> object:
        if library is None:
            raise OSError("there is no C library to ask")
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    imports.keep_freed_memory()


@pytest.mark.parametrize(
    ("shape", "dtype", "together"),
    [((28, 28, 1), np.uint8, 1000), ((32, 32, 3), np.uint8, 1000), ((224, 224, 3), np.uint8, 27)],
)
def test_fewer_large_images_are_in_memory_at_a_time(
    shape: tuple[int, ...], dtype: type, together: int
) -> None:
    from pipeline.training import keras_files

    images: Array = np.empty((2000, *shape), dtype)
    assert keras_files.batch_size(images) == together
    for start, stop in artifacts.chunks_of(images):
        assert images[start:stop].nbytes <= artifacts.CHUNK_BYTES
        assert stop - start <= artifacts.CHUNK
