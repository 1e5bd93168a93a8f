"""C text for models of images: how a photo is framed."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline import inputs
from pipeline.embedded._kinds import TEMPLATES, EmbeddedKind, bytes_of_an_image, size
from pipeline.files.artifacts import Description

FRAMING = TEMPLATES / "framing"
CAMERA = FRAMING / "camera"
SOURCES = ("framing.c", "framing.h")
FRAMINGS = ("resize", "letterbox", "centre_crop", "region")  # that framing.h knows
NO_CAMERA = (
    "No example reads a camera, because no C here makes such an image of a frame. Pass raw pixels\n"
    "that you have prepared yourself."
)
PARTS = 10_000  # of a side, in which it measures a region


def write(folder: Path, data: Description) -> None:
    """Writes the framing into the folder."""
    for name in SOURCES:
        shutil.copy(FRAMING / name, folder / name)


def write_camera(library: Path, data: Description) -> None:
    """Writes the examples with the camera of an ESP32, if a frame can become an image."""
    if "NONE" in framing(data):
        return
    examples = library / "examples"
    (examples / "camera").mkdir(exist_ok=True)
    shutil.copy(CAMERA / "camera_image.h", library / "src")
    shutil.copy(CAMERA / "camera.ino", examples / "camera")
    shutil.copytree(CAMERA / "esp_idf", examples / "esp_idf_camera", dirs_exist_ok=True)


def definitions(data: Description) -> str:
    """What model.h says of a model of images."""
    how = f"#define MODEL_FRAMING {framing(data)} /* a struct framing */\n"
    return bytes_of_an_image(data) + how


def readme_fields(data: Description) -> dict[str, str]:
    """The values in the READMEs."""
    pictures = f"{size(data)} pixels" if "NONE" in framing(data) else "any size"
    return {"preparing": preparing(data), "pictures": pictures, "sensor": camera(data)}


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
    return (FRAMING / "preparing.md").read_text(encoding="utf-8").strip()


def camera(data: Description) -> str:
    """For the README: the examples with a camera, or why there are none."""
    if "NONE" in framing(data):
        return NO_CAMERA
    return (FRAMING / "camera.md").read_text(encoding="utf-8").strip()


KIND = EmbeddedKind(
    one="an image",
    several="images",
    values="bytes",
    definitions=definitions,
    readme_fields=readme_fields,
    write=write,
    program=("main.c", "picture.c"),
    preparation=("framing.c",),
    page=True,
    write_camera=write_camera,
)
