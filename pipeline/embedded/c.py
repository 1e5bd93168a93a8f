"""C99 without a runtime: the model as one function, a program that reads pictures, a self-test, CMake.

The programs are compiled here, for this and for other processors, static; this processor's is tried on test images.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from string import Template
from time import perf_counter
from typing import Any

import numpy as np

from pipeline.embedded import _codegen, _zig
from pipeline.embedded._verified import Verified
from pipeline.files import digests, timing_cache
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.runtimes import environments

FORMAT = "onnx_float32"
TIMED_RUNS, TIMED_IMAGES = 5, 200
LARGEST_STACK = (
    8 * 1024 * 1024 - 128 * 1024
)  # what Linux gives a program by default, less what the program itself takes
PROGRAMS = "programs"
SOURCES = ("main.c", "prove.c", "gate.c")
PROGRAM = (*SOURCES, "program.h", "gate.h", "self_test.c", "CMakeLists.txt")
TEMPLATES = _codegen.TEMPLATES / "c"
HERE = {"aarch64": "aarch64", "armv7l": "armv7"}.get(platform.machine(), "x86_64")


def write(folder: Path, model: Verified) -> dict[str, Any]:
    _codegen.fill(folder, model)
    for name in PROGRAM:
        shutil.copy(TEMPLATES / name, folder / name)
    shutil.copy(reader(), folder / "stb_image.h")
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        builds = {
            program: pool.submit(build, folder, Path(name), program)
            for program in dict.fromkeys([HERE, *model.programs])
        }
        stack_bytes([builds[HERE]])  # which must be known before it runs
        measured = measure(Path(name) / HERE, model)
        measured = {"stack_bytes": stack_bytes(builds.values()), **measured}
        (folder / PROGRAMS).mkdir()
        for program in model.programs:
            shutil.copy(Path(name) / program, folder / PROGRAMS / f"classify-{program}")
    sizes = {
        program: (folder / PROGRAMS / f"classify-{program}").stat().st_size
        for program in model.programs
    }
    readme = Template((TEMPLATES / "README.md").read_text(encoding="utf-8"))
    (folder / "README.md").write_text(
        readme.substitute(described(model, measured)), encoding="utf-8"
    )
    return {"program_bytes": sizes, **measured}


def reader() -> Path:
    """stb_image.h, the reader of PNG and PGM (public domain or MIT), which the generator brings along."""
    packages = environments.FOLDER / environments.EMBEDDED / "lib"
    return next(packages.glob("python*/site-packages/emx_onnx_cgen/third_party/stb_image.h"))


def build(folder: Path, output: Path, program: str) -> str:
    """Compiles one of _zig.PROGRAMS into the folder `output`; the compiler's warnings. Raises ValueError."""
    sources = [*_codegen.SOURCES, *SOURCES]
    target = ("-target", _zig.PROGRAMS[program])
    return _zig.build(
        folder, sources, output / program, *target, *_zig.C99, "-Wframe-larger-than=0", "-lm"
    )


def stack_bytes(builds: Iterable[Future[str]]) -> int:
    """The bytes of stack that the model takes in these programs, once they are built. Raises UserError."""
    try:
        warnings = " ".join(program.result() for program in builds)
    except ValueError as error:
        raise UserError(
            f"{error}; use another architecture, or take the target out of embed.targets"
        ) from None
    stack = max(
        int(size)
        for size in re.findall(r"model\.c:\S+ warning: stack frame size \((\d+)\)", warnings)
    )
    if stack > LARGEST_STACK:
        raise UserError(
            f"it takes {stack:,} bytes of stack, and Linux gives {LARGEST_STACK:,}; use smaller images or fewer filters"
        )
    return stack


def measure(program: Path, model: Verified) -> dict[str, Any]:
    """The program's answers on test images against those of ONNX Runtime."""
    answers, expected = classify(program, model.test_images), model.expected
    return {
        "test_images": len(answers),
        "agreement_with_onnxruntime": float((answers.argmax(1) == expected.argmax(1)).mean()),
        "largest_difference": float(np.abs(answers - expected).max()),
        "equal_to_the_last_bit": float((answers == expected).mean()),
    }


def time(folder: Path, model: Verified) -> dict[str, Any]:
    """How long this processor's program takes for an image; remembered per program."""
    with tempfile.TemporaryDirectory() as name:
        program = folder / PROGRAMS / f"classify-{HERE}"
        if not program.exists():
            program = Path(name) / HERE
            build(folder, Path(name), HERE)
        key = f"c-{digests.of_facts([program.read_bytes().hex()])}"
        times = timing_cache.recall(key) or timing_cache.remember(
            key, milliseconds(program, model.test_images)
        )
    return {"median_milliseconds": statistics.median(times), "processor": timing_cache.processor()}


def classify(program: Path, images: Array) -> Array:
    """The probabilities (N, K) float32 that the program prints for raw images (N, H, W, C) uint8."""
    done = subprocess.run([program, "-"], input=images.tobytes(), capture_output=True, check=True)
    return np.array(
        [line.split("\t")[2:] for line in done.stdout.decode().splitlines()], np.float32
    )


def milliseconds(program: Path, images: Array) -> list[float]:
    """The mean time of one image in each of several runs of the program."""
    images = images[:TIMED_IMAGES]
    times = []
    for _ in range(TIMED_RUNS):
        start = perf_counter()
        classify(program, images)
        times.append(1000 * (perf_counter() - start) / len(images))
    return times


def described(model: Verified, measured: dict[str, Any]) -> dict[str, str]:
    """What the README says of this model."""
    return {
        **model.words,
        "stack": f"{measured['stack_bytes']:,}",
        "images": f"{measured['test_images']:,}",
        "agreement": f"{measured['agreement_with_onnxruntime']:.2%}",
        "difference": f"{measured['largest_difference']:.1e}",
        "equal": f"{measured['equal_to_the_last_bit']:.1%}",
    }
