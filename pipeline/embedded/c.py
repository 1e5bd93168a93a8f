"""C99 without a runtime: the model as one function, a program that reads pictures, a self-test.

Static programs are compiled here for this and other processors. The one for this processor is
tested on test images.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from time import perf_counter

import numpy as np

from pipeline.embedded import _codegen, _zig
from pipeline.embedded._verified import VerifiedFile
from pipeline.files import digests, timing_cache
from pipeline.files.artifacts import Array
from pipeline.files.reports.embed import Measured
from pipeline.process.errors import UserError
from pipeline.runtimes import environments

FORMAT = "onnx_float32"
TIMED_RUNS, TIMED_IMAGES = 5, 200
# Linux gives a program 8 MiB by default; the program itself takes a part of it.
LARGEST_STACK = 8 * 1024 * 1024 - 128 * 1024
PROGRAMS = "programs"
SOURCES = ("main.c", "prove.c", "gate.c")
PROGRAM = (*SOURCES, "program.h", "gate.h", "self_test.c", "CMakeLists.txt")
TEMPLATES = _codegen.TEMPLATES / "c"
HERE = {"aarch64": "aarch64", "armv7l": "armv7"}.get(platform.machine(), "x86_64")


@dataclass(frozen=True)
class Agreement:
    """How the program's probabilities for the test images compare with ONNX Runtime's."""

    test_images: int
    agreement_with_onnxruntime: float
    largest_difference: float
    equal_to_the_last_bit: float


def write(folder: Path, model: VerifiedFile) -> Measured:
    _codegen.fill(folder, model)
    for name in PROGRAM:
        shutil.copy(TEMPLATES / name, folder / name)
    shutil.copy(image_reader(), folder / "stb_image.h")
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        builds = {
            program: pool.submit(build, folder, Path(name), program)
            for program in dict.fromkeys([HERE, *model.programs])
        }
        stack_bytes([builds[HERE]])  # a program that overflows the stack must not run
        agreement = measure(Path(name) / HERE, model)
        stack = stack_bytes(builds.values())
        (folder / PROGRAMS).mkdir()
        sizes: Measured = {}
        for program in model.programs:
            path = folder / PROGRAMS / f"classify-{program}"
            shutil.copy(Path(name) / program, path)
            sizes[program] = path.stat().st_size
    readme = Template((TEMPLATES / "README.md").read_text(encoding="utf-8"))
    text = readme.substitute(readme_fields(model, stack, agreement))
    (folder / "README.md").write_text(text, encoding="utf-8")
    return {"program_bytes": sizes, "stack_bytes": stack, **asdict(agreement)}


def image_reader() -> Path:
    """stb_image.h, which reads PNG and PGM (public domain or MIT); it comes with the generator."""
    packages = environments.FOLDER / environments.EMBEDDED / "lib"
    return next(packages.glob("python*/site-packages/emx_onnx_cgen/third_party/stb_image.h"))


def build(folder: Path, output: Path, program: str) -> str:
    """Compiles one of _zig.PROGRAMS into the folder `output` and returns the compiler's warnings.

    Raises ValueError with the compiler's errors.
    """
    sources = [*_codegen.SOURCES, *SOURCES]
    target = ("-target", _zig.PROGRAMS[program])
    # The warnings about large frames are how `stack_bytes` learns the size of each frame.
    options = (*target, *_zig.C99, "-Wframe-larger-than=0", "-lm")
    return _zig.build(folder, sources, output / program, *options)


def stack_bytes(builds: Iterable[Future[str]]) -> int:
    """Waits for the builds and returns the stack that the model needs in them. Raises UserError."""
    try:
        warnings = " ".join(build.result() for build in builds)
    except ValueError as error:
        raise UserError(
            f"{error}; use another architecture, or remove the target from embed.targets"
        ) from None
    frames = re.findall(r"model\.c:\S+ warning: stack frame size \((\d+)\)", warnings)
    stack = max(map(int, frames))
    if stack > LARGEST_STACK:
        raise UserError(
            f"it needs {stack:,} bytes of stack, but Linux gives {LARGEST_STACK:,}; "
            "use smaller images or fewer filters"
        )
    return stack


def measure(program: Path, model: VerifiedFile) -> Agreement:
    """Compares the program with ONNX Runtime on test images."""
    probabilities, expected = classify(program, model.test_images), model.expected
    return Agreement(
        test_images=len(probabilities),
        agreement_with_onnxruntime=float((probabilities.argmax(1) == expected.argmax(1)).mean()),
        largest_difference=float(np.abs(probabilities - expected).max()),
        equal_to_the_last_bit=float((probabilities == expected).mean()),
    )


def time(folder: Path, model: VerifiedFile) -> Measured:
    """The time per image of this processor's program; cached per program."""
    with tempfile.TemporaryDirectory() as name:
        program = folder / PROGRAMS / f"classify-{HERE}"
        if not program.exists():
            program = Path(name) / HERE
            build(folder, Path(name), HERE)
        key = f"c-{digests.of_facts([program.read_bytes().hex()])}"
        times = timing_cache.recall(key)
        if not times:
            times = timing_cache.remember(key, milliseconds(program, model.test_images))
    return {"median_milliseconds": statistics.median(times), "processor": timing_cache.processor()}


def classify(program: Path, images: Array) -> Array:
    """The probabilities (N, K) float32 that the program prints for images (N, H, W, C) uint8."""
    process = subprocess.run(
        [program, "-"], input=images.tobytes(), capture_output=True, check=True
    )
    rows = [line.split("\t")[2:] for line in process.stdout.decode().splitlines()]
    return np.array(rows, np.float32)


def milliseconds(program: Path, images: Array) -> list[float]:
    """The mean time per image in each of several runs of the program."""
    images = images[:TIMED_IMAGES]
    times = []
    for _ in range(TIMED_RUNS):
        start = perf_counter()
        classify(program, images)
        times.append(1000 * (perf_counter() - start) / len(images))
    return times


def readme_fields(model: VerifiedFile, stack: int, agreement: Agreement) -> dict[str, str]:
    """The placeholders of the README."""
    return {
        **model.readme_fields,
        "stack": f"{stack:,}",
        "images": f"{agreement.test_images:,}",
        "agreement": f"{agreement.agreement_with_onnxruntime:.2%}",
        "difference": f"{agreement.largest_difference:.1e}",
        "equal": f"{agreement.equal_to_the_last_bit:.1%}",
    }
