"""C99 in integers, without a runtime: for microcontrollers, and a program that reads pictures.

The folder `model` in it is an Arduino library and an ESP-IDF component. For a model of sounds, the
program reads WAV files, and the front end is in integers, too. For one of measurements, it reads
CSV files.

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
from functools import partial
from pathlib import Path
from string import Template
from time import perf_counter

import numpy as np

from pipeline.embedded import _answer_text, _c_text, _kinds, _zig
from pipeline.embedded._integer_c.network import read
from pipeline.embedded._proof import prove
from pipeline.embedded._verified import VerifiedFile
from pipeline.files import digests, timing_cache
from pipeline.files.artifacts import Array
from pipeline.files.reports.embed import CMeasurements, IntegerProof, Time
from pipeline.process.errors import UserError
from pipeline.runtimes import environments

TIMED_RUNS, TIMED_IMAGES = 5, 200
PROGRAMS = "programs"
LIBRARY = "model"  # an Arduino library, whose builder compiles `src` and what is in it
SOURCES = f"{LIBRARY}/src"
SHARED = ("answer.c", "files.c", "prove.c", "gate.c")
HEADERS = ("program.h", "score.h", "gate.h")
TEMPLATES = _kinds.TEMPLATES / "c"
HERE = {"aarch64": "aarch64", "armv7l": "armv7"}.get(platform.machine(), "x86_64")


def write(folder: Path, model: VerifiedFile) -> CMeasurements:
    fill(folder, model)
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        builds = {
            program: pool.submit(build, folder, Path(name), program, model)
            for program in dict.fromkeys([HERE, *model.programs])
        }
        (folder / SOURCES / "golden.h").write_text(golden(model), encoding="utf-8")
        stack = stack_bytes(builds.values())
        proof = prove(model, partial(classify, Path(name) / HERE))
        (folder / PROGRAMS).mkdir()
        sizes = {}
        for program in model.programs:
            path = folder / PROGRAMS / f"classify-{program}"
            shutil.copy(Path(name) / program, path)
            sizes[program] = path.stat().st_size
    readme = Template((TEMPLATES / model.data.kind / "README.md").read_text(encoding="utf-8"))
    text = readme.substitute(readme_fields(model, stack, proof))
    (folder / "README.md").write_text(text, encoding="utf-8")
    return CMeasurements(
        program_bytes=sizes,
        constant_bytes=model.code.constant_bytes,
        arena_bytes=model.code.arena_bytes,
        stack_bytes=stack,
        **proof.model_dump(exclude_unset=True),
    )


def sources(model: VerifiedFile) -> list[str]:
    """The sources of the program."""
    kind, scoring = _kinds.kind_of(model.data), _answer_text.SCORES[model.data.target]
    library = [f"{SOURCES}/{name}" for name in (*model.code.sources, *kind.preparation)]
    return [*library, *SHARED, scoring, *kind.program]


def fill(folder: Path, model: VerifiedFile) -> None:
    """Writes the sources, but not golden.h, which the programs do without."""
    write_library(folder / LIBRARY, model)
    scoring = _answer_text.SCORES[model.data.target]
    for name in (*SHARED, scoring, *HEADERS, "self_test.c", "CMakeLists.txt"):
        shutil.copy(TEMPLATES / name, folder / name)
    kind = _kinds.kind_of(model.data)
    for path in (TEMPLATES / model.data.kind).glob("*.[ch]"):
        shutil.copy(path, folder)
    if "picture.c" in kind.program:
        shutil.copy(image_reader(), folder / "stb_image.h")


def write_library(library: Path, model: VerifiedFile) -> None:
    """Writes the Arduino library, which is an ESP-IDF component, too."""
    kind, properties = _kinds.kind_of(model.data), library / "library.properties"
    shutil.copytree(TEMPLATES / LIBRARY, library, dirs_exist_ok=True)
    _c_text.write_network(library / "src", model)
    kind.write(library / "src", model.data)
    kind.write_camera(library, model.data)
    _kinds.write_sketch(library, kind)
    template = Template(properties.read_text(encoding="utf-8"))
    properties.write_text(template.substitute(fields(model)), encoding="utf-8")


def golden(model: VerifiedFile) -> str:
    """golden.h: the golden images, and the outputs of TensorFlow Lite Micro for them."""
    output = read(model.file.read_bytes()).output
    values = np.rint(model.micro.golden / output.scale) + output.zero_point
    outputs = _c_text.array("int8_t golden_outputs", values.astype(np.int8))
    classes = ", ".join(map(str, model.golden_classes))
    answers = (
        "/* what network_run returns */\n"
        f"static const int golden_classes[GOLDEN_IMAGES] = {{{classes}}};\n"
    )
    return _c_text.golden(model, f"{outputs}\n{answers}")


def image_reader() -> Path:
    """stb_image.h, which reads PNG, JPEG, PGM and PPM (public domain or MIT).

    The package emx-onnx-cgen, of which nothing else is used, comes with it.
    """
    packages = environments.FOLDER / environments.EMBEDDED / "lib"
    return next(packages.glob("python*/site-packages/emx_onnx_cgen/third_party/stb_image.h"))


def build(folder: Path, output: Path, program: str, model: VerifiedFile) -> str:
    """Compiles one of _zig.PROGRAMS into the folder `output` and returns the compiler's warnings.

    Raises ValueError with the compiler's errors.
    """
    target = ("-target", _zig.PROGRAMS[program], "-I", SOURCES)
    # The warnings about large frames are how `stack_bytes` learns the size of each frame.
    options = (*target, *_zig.C99, "-Wframe-larger-than=0", "-lm")
    return _zig.build(folder, sources(model), output / program, *options)


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
    pattern = r"(network|layers/\w+)\.c:\S+ warning: stack frame size \((\d+)\)"
    for file, size in re.findall(pattern, warnings):
        frames[file] += int(size)
    return frames.pop("network") + max(frames.values())


def time(folder: Path, model: VerifiedFile) -> Time:
    """The time per image of this processor's program; cached per program."""
    with tempfile.TemporaryDirectory() as name:
        program = folder / PROGRAMS / f"classify-{HERE}"
        if not program.exists():
            program = Path(name) / HERE
            build(folder, Path(name), HERE, model)
        key = f"c-{digests.of_facts([program.read_bytes().hex()])}"
        times = timing_cache.recall(key)
        if not times:
            times = timing_cache.remember(key, milliseconds(program, model.test_images))
    return Time(median_milliseconds=statistics.median(times), processor=timing_cache.processor())


def classify(program: Path, images: Array) -> Array:
    """The outputs (N, K) float32 for inputs (N, ...): bytes, or windows of float32."""
    options = ["--windows"] if images.dtype == np.float32 else []
    process = subprocess.run(
        [program, *options, "-"], input=images.tobytes(), capture_output=True, check=True
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


def fields(model: VerifiedFile) -> dict[str, str]:
    """The values in the README and in library.properties."""
    return {
        **model.readme_fields,
        "several": _kinds.kind_of(model.data).several,
        "constants": f"{model.code.constant_bytes:,}",
    }


def readme_fields(model: VerifiedFile, stack: int, proof: IntegerProof) -> dict[str, str]:
    """The values in the README."""
    own = _kinds.kind_of(model.data).readme_fields(model.data)
    on_chips = Template((TEMPLATES / "library.md").read_text(encoding="utf-8")).substitute(own)
    return {
        **fields(model),
        "microcontroller": on_chips.rstrip(),
        **_answer_text.readme_fields(model),
        **own,
        "arena": f"{model.code.arena_bytes:,}",
        "stack": f"{stack:,}",
        "compared": f"{proof.images_equal_to_micro:,}",
        "images": f"{proof.test_images:,}",
        "score": _answer_text.score_in_words(proof, model.data.unit),
    }
