"""A SavedModel of somebody else, which TensorFlow reads in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.formats import _saved_model_files
from pipeline.process import limits
from pipeline.process.errors import UserError
from pipeline.runtimes.foreign import Adapter
from pipeline.runtimes.process import LARGEST_SECONDS
from serving.errors import printable

PROGRAM = "pipeline.formats._saved_model_program"
# Weights lie on the processor, whose memory is limited.
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
# Memory is limited with the stacks of threads, whose size glibc takes from the limit at the start.
START = ("sh", "-c", 'ulimit -S -s 8192 2>/dev/null; exec "$@"', "sh")
MOST_SECONDS = 600  # to read or convert it


def check(folder: Path) -> None:
    """Raises UserError if it cannot be taken."""
    _saved_model_files.check(folder)
    _run("check", folder)


def convert(folder: Path, output: Path) -> None:
    """Writes it as a float32 .tflite file. Raises UserError."""
    _run("float32", folder, output)


def convert_int8(folder: Path, output: Path, images: Array, adapter: Adapter) -> None:
    """Writes it as an int8 .tflite file that is calibrated on images. Raises UserError."""
    _run_on("int8", folder, output, images, adapter)


def probabilities(folder: Path, adapter: Adapter, images: Array) -> Array:
    """What TensorFlow computes (N, K) for images (N, H, W, C). Raises UserError."""
    with tempfile.TemporaryDirectory() as name:
        output = Path(name, "outputs.npy")
        _run_on("outputs", folder, output, images, adapter)
        given: Array = np.load(output)
        return given


def _run_on(task: str, folder: Path, output: Path, images: Array, adapter: Adapter) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "images.npy")
        np.save(file, images)
        adapter.save_beside(file)
        _run(task, folder, output, file, seconds=LARGEST_SECONDS)


def _run(task: str, folder: Path, *files: Path, seconds: int = MOST_SECONDS) -> None:
    command: list[str | Path] = [*START, sys.executable, "-m", PROGRAM, task, folder, *files]
    shown = printable(str(folder))
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | ENVIRONMENT,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{shown} kept TensorFlow busy for {seconds // 60} minutes; expected a smaller model"
        ) from None
    if done.returncode < 0:
        raise UserError(
            f"{shown} made TensorFlow die with signal {-done.returncode}: it is damaged, or needs "
            f"more than {limits.in_words()} of memory; expected the whole folder, as its "
            "maker saved it, of a smaller model"
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise UserError(lines[-1] if lines else f"{shown} cannot be run by TensorFlow")
