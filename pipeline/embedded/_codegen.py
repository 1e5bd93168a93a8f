"""C text that targets share, and C99 in floating point from an ONNX file, for the browser.

`fill` writes into a folder:
    classify.c classify.h    the function to call (copied from the folder `browser`)
    model.c model_weights.c  the network, generated: no heap, no library but libm
    model.h                  name, shape and classes of the model
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

from pipeline.embedded._verified import VerifiedFile
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.runtimes import environments

TEMPLATES = Path(__file__).parent
# Bytes. The weights of a file of this size, written out as text, compile within a minute.
LARGEST_MODEL = 8 * 1024 * 1024
TRANSLATING = threading.Lock()
SOURCES = ("classify.c", "model.c", "model_weights.c")


def fill(folder: Path, model: VerifiedFile) -> None:
    """Writes the model's C code.

    Raises UserError if the generator does not support an operator.
    """
    for name, content in translate(model.file).items():
        (folder / name).write_text(content, encoding="utf-8")
    for name in ("classify.c", "classify.h"):
        shutil.copy(TEMPLATES / "browser" / name, folder / name)
    (folder / "model.h").write_text(header(model), encoding="utf-8")


def check_size(file: Path) -> None:
    """Raises UserError if the weights of a file are too many to be written out as text."""
    if file.stat().st_size > LARGEST_MODEL:
        raise UserError(
            f"{file.name} has {file.stat().st_size:,} bytes; "
            f"C code is generated from at most {LARGEST_MODEL:,}; use a smaller architecture"
        )


def translate(file: Path) -> dict[str, str]:
    """The C code of an ONNX file for a batch of 1: {"model.c": ..., "model_weights.c": ...}.

    Equal models give equal text. Threads that ask for the same file share one run of the generator.
    Raises UserError if the file is too large or the generator does not support an operator.
    """
    with TRANSLATING:
        return _translate_once(file)


@cache
def _translate_once(file: Path) -> dict[str, str]:
    check_size(file)
    network = onnx.load(file)
    # The generator writes the metadata into a C comment, which the text of the card could close.
    del network.metadata_props[:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(network, folder / "model.onnx")
        python = environments.FOLDER / environments.EMBEDDED / "bin" / "python"
        command: list[str | Path] = [python, "-m", "emx_onnx_cgen", "compile"]
        command += ["--color", "never", "--emit-data-file", "--input-dim", "image:0=1"]
        command += ["--large-temp-threshold", "0", "--large-weight-threshold", "0"]
        command += ["model.onnx", "model.c"]
        generator = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if generator.returncode:
            reason = (generator.stderr or generator.stdout).strip().splitlines()[-1]
            raise UserError(
                f"not all of its operators can be translated to C ({reason}); "
                "use another architecture, or remove the target from embed.targets"
            )
        return {
            "model.c": (folder / "model.c").read_text(),
            "model_weights.c": (folder / "model_data.c").read_text(),
        }


def header(model: VerifiedFile, definitions: str = "") -> str:
    """model.h: what is known about the model at compile time, and further `definitions`."""
    height, width, channels = model.data.input_shape
    names = model.data.class_names
    return (
        f"/* {model.name} {model.version}, generated from {model.file.name}. */\n"
        "#ifndef MODEL_H\n"
        "#define MODEL_H\n\n"
        f"#define MODEL_NAME {quoted(model.name)}\n"
        f"#define MODEL_VERSION {quoted(model.version)}\n"
        f"#define MODEL_HEIGHT {height}\n"
        f"#define MODEL_WIDTH {width}\n"
        f"#define MODEL_CHANNELS {channels}\n"
        "#define MODEL_PIXELS (MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS)\n"
        f"#define MODEL_CLASSES {len(names)}\n"
        f"#define MODEL_CLASS_NAMES {{{', '.join(map(quoted, names))}}}\n"
        f"{definitions}\n"
        "#endif\n"
    )


def golden(model: VerifiedFile, answers: str) -> str:
    """golden.h: the golden images, and the C text of the `answers` to them."""
    images = array("uint8_t golden_images", model.golden_images, "MODEL_PIXELS")
    return (
        "/* Golden vectors: images, and the answers to them when "
        f"{model.file.name} was verified. */\n"
        "#ifndef GOLDEN_H\n"
        "#define GOLDEN_H\n\n"
        "#include <stdint.h>\n\n"
        '#include "model.h"\n\n'
        f"#define GOLDEN_IMAGES {len(model.golden_images)}\n\n"
        f"{images}\n"
        f"{answers}\n"
        "#endif\n"
    )


def array(declaration: str, values: Array, columns: str = "MODEL_CLASSES") -> str:
    """A constant C array of values (G, ...), a row for each golden image."""
    return f"static const {declaration}[GOLDEN_IMAGES][{columns}] = {{\n{rows(values)}}};\n"


def rows(values: Array) -> str:
    """Values (N, ...) as rows of a C initializer; nine digits represent a float32 exactly."""
    flat = values.reshape(len(values), -1)
    number = str if np.issubdtype(flat.dtype, np.integer) else lambda value: f"{value:.8e}f"
    return "".join(f"    {{{', '.join(map(number, row))}}},\n" for row in flat.tolist())


def quoted(text: str) -> str:
    """Any text as a C string literal; non-ASCII bytes and special characters as octal escapes."""
    plain = {*range(0x20, 0x7F)} - {*b'"\\?'}
    chars = (chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(chars)}"'
