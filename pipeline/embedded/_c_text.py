"""C text that the targets share: what is known about the model, and its golden vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline import inputs
from pipeline.embedded import _answer_text, _series_text, _sound_text
from pipeline.embedded._c_names import quoted
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.artifacts import Array, Description

TEMPLATES = Path(__file__).parent
FRAMING = "framing"  # the folder of what several targets share
FRAMINGS = ("resize", "letterbox", "centre_crop", "region")  # that framing.h knows
PARTS = 10_000  # of a side, in which it measures a region


def write_network(folder: Path, model: VerifiedFile) -> None:
    """Writes the network, model.h and answer.h. Raises UserError for an operator without C."""
    for name, text in {**model.code.files, "model.h": header(model)}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    _answer_text.write(folder, model)


def template(target: str, name: str) -> Path:
    """A file of a target: its own one, or one that targets share."""
    shared = TEMPLATES / FRAMING / name
    return shared if shared.exists() else TEMPLATES / target / name


def header(model: VerifiedFile, definitions: str = "") -> str:
    """model.h: what is known about the model at compile time, and further `definitions`."""
    names = model.data.class_names
    return (
        f"/* {model.name} {model.version}, generated from {model.file.name}. */\n"
        "#ifndef MODEL_H\n"
        "#define MODEL_H\n\n"
        f"#define MODEL_NAME {quoted(model.name)}\n"
        f"#define MODEL_VERSION {quoted(model.version)}\n"
        f"{of_the_kind(model.data)}"
        "#define MODEL_BYTES (MODEL_PIXELS * sizeof(MODEL_VALUE))\n"
        f"#define MODEL_CLASSES {len(names)}\n"
        f"#define MODEL_CLASS_NAMES {{{', '.join(map(quoted, names))}}}\n"
        f"{_answer_text.definitions(model)}"
        f"{definitions}\n"
        "#endif\n"
    )


def of_the_kind(data: Description) -> str:
    """Definitions for the input, and for what prepares it."""
    if data.kind == "series":
        return _series_text.definitions(data)
    height, width, channels = data.input_shape
    how = f"#define MODEL_FRAMING {framing(data)} /* a struct framing */\n"
    if data.kind == "sounds":
        how = _sound_text.definitions(data)
    return (
        f"#define MODEL_HEIGHT {height}\n"
        f"#define MODEL_WIDTH {width}\n"
        f"#define MODEL_CHANNELS {channels}\n"
        "#define MODEL_PIXELS (MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS)\n"
        "#define MODEL_VALUE uint8_t\n"
        "#define MODEL_VALUE_TYPE kTfLiteUInt8\n"
        f"{how}"
    )


def own_fields(model: VerifiedFile) -> dict[str, str]:
    """The values in READMEs that only sounds or measurements have; nothing for pictures."""
    texts = {"sounds": _sound_text.readme_fields, "series": _series_text.readme_fields}
    return texts[model.data.kind](model.data) if model.data.kind in texts else {}


def framing(data: Description) -> str:
    """How photos are framed, as a `struct framing` of framing.h."""
    preprocessing = inputs.kind(data.kind).preprocessing(data)
    method = preprocessing["method"]
    region = [int(part * PARTS + 0.5) for part in preprocessing.get("region", [0] * 4)]
    name = method.upper() if method in FRAMINGS else "NONE"
    return f"{{FRAMING_{name}, {{{', '.join(map(str, region))}}}}}"


def preparing(data: Description) -> str:
    """For the READMEs: the code that prepares an image, or that there is none."""
    if "NONE" in framing(data):
        return "No code in this folder makes such an image of a photo."
    return (TEMPLATES / FRAMING / "preparing.md").read_text(encoding="utf-8").strip()


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
