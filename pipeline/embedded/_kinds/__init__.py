"""What differs between kinds of input without Python: a file per kind, named as in pipeline/inputs.

Each has a `KIND`. Folders of its name hold its program in c/ and its page in browser/, and a file
in microcontroller/sections its part of the README.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.files.artifacts import Array, Description

TEMPLATES = Path(__file__).parents[1]


def _no_recordings(data: Description) -> dict[str, tuple[Array, Array]]:
    return {}


def _nothing(folder: Path, data: Description) -> None:
    pass


@dataclass(frozen=True)
class EmbeddedKind:
    one: str  # what an input is called, and several
    several: str
    values: str  # what they are made of, in the README of the program
    definitions: Callable[[Description], str]  # in model.h, for the input and what prepares it
    readme_fields: Callable[[Description], dict[str, str]]  # that only this kind has
    write: Callable[[Path, Description], None]  # the C that makes an input
    program: tuple[str, ...]  # the sources that read inputs
    preparation: tuple[str, ...]  # those of `write`
    sketch: Path | None = None  # for the Arduino libraries
    write_camera: Callable[[Path, Description], None] = _nothing  # in the library of C
    one_class_each: bool = False  # whether it takes models of no other target
    # The browser. Without `page`, its page takes no such input.
    page: bool = False
    page_sources: tuple[str, ...] = ()
    write_page: Callable[[Path, Description], None] = _nothing  # their C
    # Recordings (S,) int16 in the bundle by their names, and the features of each
    recordings: Callable[[Description], dict[str, tuple[Array, Array]]] = _no_recordings


def kind_of(data: Description) -> EmbeddedKind:
    kind: EmbeddedKind = importlib.import_module(f"pipeline.embedded._kinds.{data.kind}").KIND
    return kind


def write_sketch(library: Path, kind: EmbeddedKind) -> None:
    """Writes the example with a sensor, if there is one, into an Arduino library."""
    if kind.sketch:
        example = library / "examples" / kind.sketch.stem
        example.mkdir(exist_ok=True)
        shutil.copy(kind.sketch, example)


def size(data: Description) -> str:
    """Width and height of an image, in words."""
    height, width, channels = (*data.input_shape, 1)[:3]
    return f"{width} x {height}" + ("" if channels == 1 else " in colour")


def bytes_of_an_image(data: Description) -> str:
    """The definitions in model.h of an input of bytes with rows and columns."""
    height, width, channels = data.input_shape
    return (
        f"#define MODEL_HEIGHT {height}\n"
        f"#define MODEL_WIDTH {width}\n"
        f"#define MODEL_CHANNELS {channels}\n"
        "#define MODEL_PIXELS (MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS)\n"
        "#define MODEL_VALUE uint8_t\n"
        "#define MODEL_VALUE_TYPE kTfLiteUInt8\n"
    )
