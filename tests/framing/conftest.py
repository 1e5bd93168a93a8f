"""Ways to frame a picture, and a C program that frames what it is given."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.embedded import _zig, c
from pipeline.embedded._kinds import pixels as images
from pipeline.files.artifacts import Array, Description
from pipeline.files.pictures.picture_file import Framing
from serving.framing import FRAMINGS as METHODS
from serving.framing import ORIENTATION

REGION = [0.1, 0.25, 0.85, 1.0]
FRAMINGS: list[Framing] = ["resize", "letterbox", "centre_crop", REGION]
SHAPES = [(20, 36, 3), (33, 24, 1)]
# Frames the files that it is given; before each file, the values of `c_arguments` and the width,
# height and format of a file of raw pixels, or zeros. On standard error: the scratch memory.
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include "picture.h"
static uint8_t bytes[1 << 24];
int main(int count, char **arguments)
{
    for (int at = 1; at + 11 < count; at += 12) {
        int values[11];
        FILE *file = fopen(arguments[at + 11], "rb");
        size_t length = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        for (int index = 0; index < 11; index++)
            values[index] = atoi(arguments[at + index]);
        struct framing framing = {(enum framing_method)values[0],
                                  {values[1], values[2], values[3], values[4]}};
        struct framing_size size = {values[5], values[6], values[7]};
        struct picture picture = {bytes, values[8], values[9], (enum picture_format)values[10]};
        const char *fault = values[10] ? NULL : picture_read(bytes, length, &picture);
        if (fault) {
            fprintf(stderr, "%s: %s\n", arguments[at + 11], fault);
            return 1;
        }
        size_t pixels = (size_t)(values[5] * values[6] * values[7]);
        size_t needed = framing_scratch(&picture, &framing, &size);
        uint8_t *image = malloc(pixels), *scratch = malloc(needed);
        framing_run(&picture, &framing, &size, image, scratch);
        fwrite(image, 1, pixels, stdout);
        fprintf(stderr, "%lu\n", (unsigned long)needed);
        fclose(file);
        free(image);
        free(scratch);
        if (!values[10])
            picture_free(&picture);
    }
    return 0;
}
"""


def build(folder: Path, processor: str) -> Path:
    """A program of the C sources that a bundle holds, which frames pictures."""
    pictures = [c.TEMPLATES / "pixels" / name for name in ("picture.c", "picture.h")]
    framing = [images.FRAMING / name for name in images.SOURCES]
    for path in (*pictures, *framing, c.TEMPLATES / "files.c", c.TEMPLATES / "program.h"):
        shutil.copy(path, folder)
    (folder / "stb_image.h").write_bytes(c.image_reader().read_bytes())
    (folder / "model.h").write_text("#define MODEL_VALUE uint8_t\n")  # all that they need of it
    (folder / "frames.c").write_text(PROGRAM)
    sources = ["frames.c", "files.c", "picture.c", "framing.c"]
    _zig.build(folder, sources, folder / "frames", "-target", _zig.PROGRAMS[processor], *_zig.C99)
    return folder / "frames"


@pytest.fixture(scope="session")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("c"), c.HERE)


def c_arguments(framing: Framing, shape: tuple[int, int, int]) -> list[str]:
    """The initializer of MODEL_FRAMING as numbers, and the shape."""
    text = images.framing(Description("image_folder", [], shape, {}, [], framing=framing))
    name, *region = text.replace("{", "").replace("}", "").split(", ")
    methods = ["FRAMING_NONE", *(f"FRAMING_{method.upper()}" for method in METHODS)]
    return [str(methods.index(name)), *region, *map(str, shape)]


def framed_in_c(
    program: Path,
    pictures: list[tuple[Path, Framing, tuple[int, int, int]]],
    emulator: Sequence[str] = (),
) -> Array:
    """The pixels of all pictures, one after the other."""
    arguments = [
        word
        for path, framing, shape in pictures
        for word in (*c_arguments(framing, shape), "0", "0", "0", str(path))
    ]
    done = subprocess.run([*emulator, program, *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, np.uint8)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif
