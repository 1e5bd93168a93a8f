"""C text that the targets share: what is known about the model, and its golden vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.embedded import _answer_text, _kinds
from pipeline.embedded._c_names import quoted
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.artifacts import Array


def write_network(folder: Path, model: VerifiedFile) -> None:
    """Writes the network, model.h and answer.h. Raises UserError for an operator without C."""
    for name, text in {**model.code.files, "model.h": header(model)}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    _answer_text.write(folder, model)


def header(model: VerifiedFile, definitions: str = "") -> str:
    """model.h: what is known about the model at compile time, and further `definitions`."""
    names = model.data.class_names
    return (
        f"/* {model.name} {model.version}, generated from {model.file.name}. */\n"
        "#ifndef MODEL_H\n"
        "#define MODEL_H\n\n"
        f"#define MODEL_NAME {quoted(model.name)}\n"
        f"#define MODEL_VERSION {quoted(model.version)}\n"
        f"{_kinds.kind_of(model.data).definitions(model.data)}"
        "#define MODEL_BYTES (MODEL_PIXELS * sizeof(MODEL_VALUE))\n"
        f"#define MODEL_CLASSES {len(names)}\n"
        f"#define MODEL_CLASS_NAMES {{{', '.join(map(quoted, names))}}}\n"
        f"{_answer_text.definitions(model)}"
        f"{definitions}\n"
        "#endif\n"
    )


def golden(model: VerifiedFile, answers: str) -> str:
    """golden.h: the golden images, and the C text of the `answers` to them."""
    images = array("MODEL_VALUE golden_images", model.golden_images, "MODEL_PIXELS")
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
