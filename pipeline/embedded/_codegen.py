"""C99 from an ONNX file: what every target that compiles the model shares.

`fill` writes into a folder:
    classify.c classify.h    the one function to call (real files, beside this module)
    model.c model_weights.c  the network, generated: no heap, no library but libm
    model.h                  name, shape and classes of the model
    golden.h                 golden vectors
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path

import numpy as np
import onnx

from pipeline.embedded._verified import Verified
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from pipeline.runtimes import environments

TEMPLATES = Path(__file__).parent
LARGEST_MODEL = (
    8 * 1024 * 1024
)  # bytes of a file whose weights, written out as text, compile within a minute
TRANSLATING = threading.Lock()
SOURCES = ("classify.c", "model.c", "model_weights.c")


def fill(folder: Path, model: Verified) -> None:
    """Writes the model's C and its golden vectors. Raises UserError where the generator does not know an operator."""
    for name, content in translate(model.file).items():
        (folder / name).write_text(content, encoding="utf-8")
    for name in ("classify.c", "classify.h"):
        shutil.copy(TEMPLATES / "c" / name, folder / name)
    (folder / "model.h").write_text(header(model), encoding="utf-8")
    (folder / "golden.h").write_text(
        golden(model, model.golden_probabilities, statistics.FLOAT_TOLERANCE), encoding="utf-8"
    )


def translate(file: Path) -> dict[str, str]:
    """The C of an ONNX file for a batch of 1: {"model.c": ..., "model_weights.c": ...}. Equal models give equal text.

    Threads that ask for the same get it from one run of the generator.
    Raises UserError where the file is too large or the generator does not know an operator.
    """
    with TRANSLATING:
        return _translated(file)


@cache
def _translated(file: Path) -> dict[str, str]:
    if file.stat().st_size > LARGEST_MODEL:
        raise UserError(
            f"{file.name} has {file.stat().st_size:,} bytes, and as C at most {LARGEST_MODEL:,}; use a smaller architecture"
        )
    network = onnx.load(file)
    del network.metadata_props[:]  # the card would go into a comment, which its words could close
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(network, folder / "model.onnx")
        python = environments.FOLDER / environments.EMBEDDED / "bin" / "python"
        command: list[str | Path] = [
            python,
            "-m",
            "emx_onnx_cgen",
            "compile",
            "--color",
            "never",
            "--emit-data-file",
            "--input-dim",
            "image:0=1",
        ]
        command += [
            "--large-temp-threshold",
            "0",
            "--large-weight-threshold",
            "0",
            "model.onnx",
            "model.c",
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1]
            raise UserError(
                f"its operators do not all become C ({reason}); use another architecture, or take the target out"
            )
        return {
            "model.c": (folder / "model.c").read_text(),
            "model_weights.c": (folder / "model_data.c").read_text(),
        }


def header(model: Verified, more: str = "") -> str:
    """model.h: what is known of the model at compile time, and `more` definitions."""
    height, width, channels = model.data.input_shape
    names = model.data.class_names
    return (
        f"/* {model.name} {model.version}, generated from {model.file.name}. */\n#ifndef MODEL_H\n#define MODEL_H\n\n"
        f"#define MODEL_NAME {quoted(model.name)}\n#define MODEL_VERSION {quoted(model.version)}\n"
        f"#define MODEL_HEIGHT {height}\n#define MODEL_WIDTH {width}\n#define MODEL_CHANNELS {channels}\n"
        "#define MODEL_PIXELS (MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS)\n"
        f"#define MODEL_CLASSES {len(names)}\n#define MODEL_CLASS_NAMES {{{', '.join(map(quoted, names))}}}\n"
        f"{more}\n#endif\n"
    )


def golden(model: Verified, probabilities: Array, tolerance: float) -> str:
    """golden.h: the golden images and their probabilities (G, K), which a device may miss by `tolerance`."""
    return (
        f"/* Golden vectors: images, and what {model.file.name} gave for them when it was verified. */\n"
        f'#ifndef GOLDEN_H\n#define GOLDEN_H\n\n#include <stdint.h>\n\n#include "model.h"\n\n'
        f"#define GOLDEN_IMAGES {len(model.golden_images)}\n#define GOLDEN_TOLERANCE {tolerance}f\n\n"
        f"static const uint8_t golden_images[GOLDEN_IMAGES][MODEL_PIXELS] = {{\n{rows(model.golden_images)}}};\n\n"
        f"static const float golden_probabilities[GOLDEN_IMAGES][MODEL_CLASSES] = {{\n{rows(probabilities)}}};\n\n#endif\n"
    )


def rows(values: Array) -> str:
    """Values (N, ...) as rows of a C initializer; nine digits hold a float32 to the last bit."""
    flat = values.reshape(len(values), -1)
    number = str if np.issubdtype(flat.dtype, np.integer) else lambda value: f"{value:.8e}f"
    return "".join(f"    {{{', '.join(map(number, row))}}},\n" for row in flat.tolist())


def quoted(text: str) -> str:
    """A C string literal of any text; bytes beyond ASCII, and what C reads in its own way, as octal escapes."""
    plain = {*range(0x20, 0x7F)} - {*b'"\\?'}
    return (
        '"'
        + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode())
        + '"'
    )
