"""C99 without a runtime: a folder with the model as one function, a program that reads pictures, a self-test, CMake and Zig.

It is compiled for this machine, and gives the classes and probabilities of ONNX Runtime on test images.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import environments, measurements
from pipeline.artifacts import Array
from pipeline.embedded import _generated, _zig
from pipeline.embedded._model import Proven
from pipeline.stage import UserError

FORMAT = "onnx_float32"
TIMED_RUNS, TIMED_IMAGES = 5, 200
TEMPLATES = _generated.TEMPLATES / "c"


def write(folder: Path, model: Proven) -> dict[str, Any]:
    _generated.fill(folder, model)
    for name in ("main.c", "self_test.c", "CMakeLists.txt"):
        shutil.copy(TEMPLATES / name, folder / name)
    shutil.copy(reader(), folder / "stb_image.h")
    return measure(folder, model)


def reader() -> Path:
    """stb_image.h, the reader of PNG and PGM (public domain or MIT), which the generator brings along."""
    packages = environments.FOLDER / environments.EMBEDDED / "lib"
    return next(packages.glob("python*/site-packages/emx_onnx_cgen/third_party/stb_image.h"))


def measure(folder: Path, model: Proven) -> dict[str, Any]:
    """Compiles the folder for this machine and tries it: the self-test, test images against ONNX Runtime, the time of one image."""
    sources = [folder / name for name in _generated.SOURCES]
    with tempfile.TemporaryDirectory() as name:
        program, self_test = Path(name) / "classify", Path(name) / "self_test"
        try:
            _zig.build([*sources, folder / "main.c"], program, *_zig.C99, "-lm")
            _zig.build([*sources, folder / "self_test.c"], self_test, *_zig.C99, "-lm")
        except ValueError as error:
            raise UserError(f"{error}; use another architecture, or take the target out of embed.targets") from None
        subprocess.run([self_test], check=True, capture_output=True)
        answers = classify(program, model.test_images)
        expected = model.probabilities("onnxruntime")
        facts = [(folder / name).read_text() for name in _generated.SOURCES]
        key = f"c-{measurements.digest(facts)}"
        times = measurements.recall(key) or measurements.remember(key, milliseconds(program, model.test_images))
    return {
        "images": len(answers),
        "agreement": float((answers.argmax(1) == expected.argmax(1)).mean()),
        "largest_difference": float(np.abs(answers - expected).max()),
        "equal_to_the_last_bit": float((answers == expected).mean()),
        "median_milliseconds": statistics.median(times),
        "processor": measurements.processor(),
    }


def classify(program: Path, images: Array) -> Array:
    """The probabilities (N, K) float32 that the program prints for raw images (N, H, W, C) uint8."""
    done = subprocess.run([program, "-"], input=images.tobytes(), capture_output=True, check=True)
    return np.array([line.split("\t")[2:] for line in done.stdout.decode().splitlines()], np.float32)


def milliseconds(program: Path, images: Array) -> list[float]:
    """The mean time of one image in each of several runs of the program."""
    images = images[:TIMED_IMAGES]
    times = []
    for _ in range(TIMED_RUNS):
        start = time.perf_counter()
        classify(program, images)
        times.append(1000 * (time.perf_counter() - start) / len(images))
    return times
