"""A SavedModel of somebody else, which TensorFlow runs and converts in a process of its own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.reports.train import Origin
from pipeline.process.errors import UserError
from pipeline.runtimes import inspect_foreign
from pipeline.runtimes.foreign import Adapter
from pipeline.runtimes.process import LARGEST_SECONDS
from pipeline.search import foreign_model
from pipeline.search.foreign_model import ForeignModel

PROGRAM = "pipeline.formats._saved_model_program"


def convert(folder: Path, output: Path) -> None:
    """Writes it as a float32 .tflite file. Raises UserError."""
    _run("float32", folder, output)


def convert_int8(folder: Path, output: Path, images: Array, adapter: Adapter) -> None:
    """Writes it as an int8 .tflite file that is calibrated on images. Raises UserError."""
    _run_on("int8", folder, output, images, adapter)


def quantized(model: ForeignModel, path: Path, folder: Path) -> ForeignModel:
    """The file `path`, which was made of `model` in integers: pixels are scaled as for that."""
    interface = inspect_foreign.read(path)
    requirements = interface.requirements
    adapter = replace(
        model.adapter,
        dtype=interface.dtype,
        input_quantization=requirements.input_quantization,
        output_quantization=requirements.output_quantization,
    )
    update = {"file": path.name, "sha256": artifacts.sha256(path)}
    origin = model.origin.model_copy(update=update)
    folder.mkdir()
    return ForeignModel(
        path, foreign_model.link(path, folder / path.name, adapter), adapter, origin
    )


def probabilities(folder: Path, adapter: Adapter, images: Array) -> Array:
    """What TensorFlow computes (N, K) for images (N, H, W, C). Raises UserError."""
    with tempfile.TemporaryDirectory() as name:
        output = Path(name, "outputs.npy")
        _run_on("outputs", folder, output, images, adapter)
        given: Array = np.load(output)
        return given


def origin(folder: Path, converted: Origin) -> Origin:
    """Where the SavedModel is from, by the origin of a file that was converted from it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [f"{path.relative_to(folder)} {artifacts.sha256(path)}" for path in files]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    return converted.model_copy(update={"file": folder.name, "sha256": digest})


def _run_on(task: str, folder: Path, output: Path, images: Array, adapter: Adapter) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "images.npy")
        np.save(file, images)
        adapter.save_beside(file)
        _run(task, folder, output, file)


def _run(task: str, folder: Path, output: Path, *images: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", PROGRAM, task, folder, output, *images]
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LARGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{folder} gave no answer within {LARGEST_SECONDS} seconds; expected a smaller model"
        ) from None
    if done.returncode < 0:
        raise UserError(
            f"{folder} made TensorFlow die with signal {-done.returncode}; expected the whole "
            "folder, as its maker saved it"
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise UserError(lines[-1] if lines else f"{folder} cannot be run by TensorFlow")
