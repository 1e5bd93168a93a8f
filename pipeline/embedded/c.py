"""C99 in integers, without a runtime: for microcontrollers, and a program that reads pictures.

Static programs are compiled here for this and other processors. The one for this processor runs all
test images, and its outputs must equal those of TensorFlow Lite Micro, byte for byte.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from time import perf_counter

import numpy as np

from pipeline.embedded import _codegen, _integer_c, _zig
from pipeline.embedded._integer_c import Code
from pipeline.embedded._integer_c.network import read
from pipeline.embedded._verified import VerifiedFile
from pipeline.files import artifacts, digests, timing_cache
from pipeline.files.artifacts import Array
from pipeline.files.reports.embed import Measured
from pipeline.process.errors import UserError
from pipeline.reporting.tables import percent
from pipeline.runtimes import environments
from serving import gate

FORMAT = "tflite_int8"
TIMED_RUNS, TIMED_IMAGES = 5, 200
PROGRAMS = "programs"
SOURCES = ("main.c", "prove.c", "gate.c")
COPIED = (*SOURCES, "classify.h", "program.h", "gate.h", "self_test.c", "CMakeLists.txt")
TEMPLATES = _codegen.TEMPLATES / "c"
HERE = {"aarch64": "aarch64", "armv7l": "armv7"}.get(platform.machine(), "x86_64")


@dataclass(frozen=True)
class Proof:
    """All test images, compared with the trained model by the gate of verification.

    `images_equal_to_micro` of them were compared with TensorFlow Lite Micro.
    """

    state: str
    test_images: int
    accuracy: float
    accuracy_lost_bound: float
    agreement: float
    images_equal_to_micro: int


def write(folder: Path, model: VerifiedFile) -> Measured:
    _codegen.check_size(model.file)
    code = _integer_c.translate(model.file.read_bytes(), model.file.name)
    fill(folder, model, code)
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        builds = {
            program: pool.submit(build, folder, Path(name), program)
            for program in dict.fromkeys([HERE, *model.programs])
        }
        stack = stack_bytes(builds.values())
        proof = prove(Path(name) / HERE, model)
        (folder / PROGRAMS).mkdir()
        sizes: Measured = {}
        for program in model.programs:
            path = folder / PROGRAMS / f"classify-{program}"
            shutil.copy(Path(name) / program, path)
            sizes[program] = path.stat().st_size
    readme = Template((TEMPLATES / "README.md").read_text(encoding="utf-8"))
    text = readme.substitute(readme_fields(model, code, stack, proof))
    (folder / "README.md").write_text(text, encoding="utf-8")
    return {
        "program_bytes": sizes,
        "constant_bytes": code.constant_bytes,
        "arena_bytes": code.arena_bytes,
        "stack_bytes": stack,
        **asdict(proof),
    }


def fill(folder: Path, model: VerifiedFile, code: Code) -> None:
    """Writes the sources."""
    generated = {"model.h": _codegen.header(model), "golden.h": golden(model), **code.files}
    for name, text in generated.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for name in COPIED:
        shutil.copy(TEMPLATES / name, folder / name)
    shutil.copy(image_reader(), folder / "stb_image.h")


def golden(model: VerifiedFile) -> str:
    """golden.h: the golden images, and the outputs of TensorFlow Lite Micro for them."""
    output = read(model.file.read_bytes()).output
    values = np.rint(model.micro.golden / output.scale) + output.zero_point
    return _codegen.golden(model, _codegen.array("int8_t golden_outputs", values.astype(np.int8)))


def image_reader() -> Path:
    """stb_image.h, which reads PNG and PGM (public domain or MIT); it comes with emx-onnx-cgen."""
    packages = environments.FOLDER / environments.EMBEDDED / "lib"
    return next(packages.glob("python*/site-packages/emx_onnx_cgen/third_party/stb_image.h"))


def build(folder: Path, output: Path, program: str) -> str:
    """Compiles one of _zig.PROGRAMS into the folder `output` and returns the compiler's warnings.

    Raises ValueError with the compiler's errors.
    """
    layers = sorted(path.relative_to(folder).as_posix() for path in folder.glob("layers/*.c"))
    target = ("-target", _zig.PROGRAMS[program])
    # The warnings about large frames are how `stack_bytes` learns the size of each frame.
    options = (*target, *_zig.C99, "-Wframe-larger-than=0", "-lm")
    return _zig.build(folder, ["network.c", *layers, *SOURCES], output / program, *options)


def stack_bytes(builds: Iterable[Future[str]]) -> int:
    """Waits for the builds. Returns the most stack that a call of network_run needs in one of them.

    That is its own frame and, of the files in `layers/`, the largest sum of the frames of a file.
    Raises UserError.
    """
    try:
        warnings = [build.result() for build in builds]
    except ValueError as error:
        raise UserError(
            f"{error}; use another architecture, or remove the target from embed.targets"
        ) from None
    return max(map(deepest_call, warnings))


def deepest_call(warnings: str) -> int:
    frames: dict[str, int] = defaultdict(int)
    found = re.findall(r"(network|layers/\w+)\.c:\S+ warning: stack frame size \((\d+)\)", warnings)
    for file, size in found:
        frames[file] += int(size)
    return frames.pop("network") + max(frames.values())


def prove(program: Path, model: VerifiedFile) -> Proof:
    """Runs all test images.

    Raises UserError if an output differs from TensorFlow Lite Micro's, or if significantly more
    accuracy is lost than export.max_accuracy_drop allows.
    """
    images, labels = artifacts.load_split("test")
    reference = artifacts.load_array(artifacts.TEST_PROBABILITIES)
    probabilities = classify(program, images)
    expected = model.micro.tested
    differing = int((probabilities[: len(expected)] != expected).any(1).sum())
    if differing:
        raise UserError(
            f"its C answers {differing} of {len(expected)} images unlike TensorFlow Lite Micro; "
            "report this fault, and remove the target from embed.targets"
        )
    facts = gate.compare(probabilities, reference, labels, model.max_accuracy_drop)
    if facts["state"] == gate.WORSE:
        raise UserError(facts["reason"])
    names = ("state", "test_images", "accuracy", "accuracy_lost_bound", "agreement")
    return Proof(**{name: facts[name] for name in names}, images_equal_to_micro=len(expected))


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
    """The probabilities (N, K) float32 of images (N, H, W, C) uint8, by a process for each core."""
    parts = np.array_split(images, min(os.cpu_count() or 1, len(images)))
    with ThreadPoolExecutor(len(parts)) as pool:
        return np.concatenate(list(pool.map(lambda part: classify_part(program, part), parts)))


def classify_part(program: Path, images: Array) -> Array:
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
        classify_part(program, images)
        times.append(1000 * (perf_counter() - start) / len(images))
    return times


def readme_fields(model: VerifiedFile, code: Code, stack: int, proof: Proof) -> dict[str, str]:
    """The placeholders of the README."""
    return {
        **model.readme_fields,
        "constants": f"{code.constant_bytes:,}",
        "arena": f"{code.arena_bytes:,}",
        "stack": f"{stack:,}",
        "compared": f"{proof.images_equal_to_micro:,}",
        "images": f"{proof.test_images:,}",
        "accuracy": percent(proof.accuracy),
        "bound": percent(proof.accuracy_lost_bound),
    }
