"""The command for a model that somebody else trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pipeline.cli.options import Overrides
from pipeline.cli.workflow import resumable, run

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A .keras, .h5, .tflite or .onnx file, or a SavedModel folder, that somebody else "
        "trained on the classes of your data.",
        show_default=False,
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Where it is from, for the model card, such as an address.",
        show_default=False,
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The float model that a .tflite or .onnx file was made from.",
        show_default="itself, on reference kernels",
    ),
]
Validation = Annotated[
    bool,
    typer.Option(
        "--validation",
        help="Judge a .tflite or .onnx file on the validation set, too, if its training saw "
        "none of that.",
    ),
]
IntegerC = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Write an int8 .tflite file as integer C, proven equal to TensorFlow Lite Micro.",
        show_default=False,
    ),
]


def prove(
    model: Model,
    source: Source = None,
    reference: Reference = None,
    validation: Validation = False,
    c: IntegerC = None,
    overrides: Overrides = None,
) -> None:
    """Prove a model that was trained elsewhere, on every runtime and processor.

    A Keras model goes through every stage, as model.path. A .tflite or .onnx file runs as it is.
    Of a SavedModel, .tflite files in float32 and int8 are made and proven.
    Nothing is trained. How its pixels are scaled is tried on the validation set.
    """
    from pipeline.planning import prove as proving
    from pipeline.runtimes.inspect_foreign import SUFFIXES

    if model.suffix in SUFFIXES or model.is_dir():
        _prove_file(model, reference, source, overrides or (), validation, c)
    given = {"--reference": reference, "--validation": validation, "--c": c, "-S": overrides}
    proving.check_options(model, given)
    proving.choose(model, source)
    run(None, force=False)


def _prove_file(
    file: Path,
    reference: Path | None,
    source: str | None,
    overrides: Sequence[str],
    validation: bool,
    c: Path | None,
) -> NoReturn:
    """Proves a file as it is, on data that DVC prepares first. Exits."""
    from pipeline.config import params
    from pipeline.planning import prove as proving
    from pipeline.process import dvc_command

    if file.is_dir():
        proving.check_folder(file, {"--reference": reference, "--c": c})
    else:
        proving.check_files(file, reference)
    params.load()  # its faults in our words, before DVC stumbles over them
    with resumable():
        succeeded = dvc_command.reproduce(["preprocess"], goes_on=True)
        if succeeded:
            from pipeline.proving import prove_file

            options = prove_file.ProveOptions(file, reference, source, overrides, validation, c)
            succeeded = prove_file.prove(options)
    raise typer.Exit(0 if succeeded else 1)
