"""Integer C of an int8 file of somebody else, proven equal to TensorFlow Lite Micro.

    edgeproof prove model.tflite --c FOLDER

Every byte of the outputs is compared, on all images that the file is judged on.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.embedded import _integer_c, _zig
from pipeline.embedded._integer_c import Code
from pipeline.embedded._integer_c.network import Tensor, read
from pipeline.embedded.c import HERE
from pipeline.files.artifacts import Array
from pipeline.files.reports.prove import CReport
from pipeline.process.errors import UserError
from pipeline.proving import foreign_model
from pipeline.proving.foreign_model import ForeignModel
from pipeline.runtimes import environments

MICRO = "tflite_micro"
# Inputs from standard input, outputs to standard output.
PROGRAM = """\
#include <stdio.h>
#include "network.h"

int main(void)
{
    static unsigned char input[NETWORK_INPUTS];
    static signed char output[NETWORK_OUTPUTS];
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        network_run((void *)input, (void *)output);
        fwrite(output, 1, sizeof output, stdout);
    }
    return 0;
}
"""


def translate(path: Path) -> Code:
    """The C of the file. Raises UserError if it cannot be computed in integers alone."""
    if path.suffix != ".tflite":
        raise UserError(f"--c makes C of an int8 .tflite file, and {path} is another kind of file")
    try:
        return _integer_c.translate(path.read_bytes(), path.name)
    except UserError as error:
        fault = str(error).partition(";")[0]
        raise UserError(
            f"no integer C can be made of {path}: {fault}; expected an int8 file, or leave out --c"
        ) from None


def check_folder(folder: Path) -> None:
    """Raises UserError unless the C can go there without replacing anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--c {folder} is not an empty folder; name a new one")


def write(folder: Path, code: Code, model: ForeignModel, images: Array) -> CReport:
    """Writes the C, if its outputs for images (N, H, W, C) are equal. Raises UserError."""
    with tempfile.TemporaryDirectory() as name:
        program = compiled(code, Path(name))
        given = run(program, model, images)
    differing = int((given != by_micro(model, images)).any(1).sum())
    if differing:
        raise UserError(
            f"the C of {model.path} answers {differing:,} of {len(images):,} images unlike "
            "TensorFlow Lite Micro; report this fault, and leave out --c"
        )
    save(code, folder)
    return CReport(
        folder=str(folder),
        images=len(images),
        arena_bytes=code.arena_bytes,
        constant_bytes=code.constant_bytes,
    )


def save(code: Code, folder: Path) -> None:
    for name, text in code.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def compiled(code: Code, folder: Path) -> Path:
    """A program for this processor. Raises UserError."""
    save(code, folder)
    (folder / "main.c").write_text(PROGRAM, encoding="utf-8")
    try:
        environments.python(environments.EMBEDDED)
        options = ("-target", _zig.PROGRAMS[HERE], *_zig.C99)
        _zig.build(folder, [*code.sources, "main.c"], folder / "program", *options)
    except (OSError, ValueError) as error:
        raise UserError(f"the C could not be tried: {error}") from None
    return folder / "program"


def run(program: Path, model: ForeignModel, images: Array) -> Array:
    """The outputs (N, K) int8 or uint8 that the C gives."""
    values = model.adapter.inputs(images).tobytes()
    done = subprocess.run([program], input=values, capture_output=True, check=True)
    output = output_of(model)
    return np.frombuffer(done.stdout, output.dtype).reshape(len(images), -1)


def by_micro(model: ForeignModel, images: Array) -> Array:
    """The same by TensorFlow Lite Micro. A real output of a last DEQUANTIZE is scaled back."""
    adapter = replace(model.adapter, output_quantization=None, order=None)
    given = foreign_model.on_all_cores(model.path, adapter, images, MICRO)
    output = output_of(model)
    if model.adapter.output_quantization is None:
        given = np.rint(given / output.scale) + output.zero_point
    return given.astype(output.dtype)


def output_of(model: ForeignModel) -> Tensor:
    return read(model.path.read_bytes()).output
