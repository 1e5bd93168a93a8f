"""Sets `model.path` in params.yaml to a model that somebody else trained.

edgeproof prove model.h5
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.config import params
from pipeline.config.own_model import SUFFIXES
from pipeline.config.params import NONE
from pipeline.files import atomic
from pipeline.formats import _saved_model_process
from pipeline.planning import params_file
from pipeline.planning.choice import Choice
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.runtimes import inspect_foreign


def choose(path: Path, source: str | None) -> None:
    """Names the model in params.yaml, unless it cannot be taken. Raises UserError."""
    settings = params.load()
    check(path)
    # Folds judge a recipe, and nothing is trained.
    changes = {"model.path": str(path), "model.source": source, "evaluate.folds": NONE}
    params.override(settings, changes)
    choices = [Choice("model.path", str(path)), Choice("evaluate.folds", NONE)]
    is_another = str(path) != settings.model.path
    if is_another:  # what was said of the one before does not hold for it
        choices += [Choice("model.scaling", "auto"), Choice("model.labels", None)]
    if is_another or source is not None:
        choices += [Choice("model.source", source)]
    text = params_file.apply(params.FILE.read_text(encoding="utf-8"), choices)
    written = params.parsed(text, params.FILE)
    if written == settings:
        return
    atomic.write_text(params.FILE, text)
    print(f"params.yaml: model.path is {path}", flush=True)


def check_options(path: Path, given: Mapping[str, object]) -> None:
    """Raises UserError if an option has a value that a Keras model cannot have."""
    if named := [option for option, value in given.items() if value]:
        raise UserError(
            f"{named[0]} is for a .tflite or .onnx file, which runs as it is, and {path} goes "
            "through the stages; change params.yaml instead"
        )


def check_folder(path: Path, given: Mapping[str, object]) -> None:
    """Raises UserError for a SavedModel, or options for it, that cannot be taken."""
    if named := [option for option, value in given.items() if value]:
        raise UserError(
            f"{named[0]} is for a .tflite or .onnx file, and {path} is a folder; prove it without "
            f"{named[0]}, and then the int8 file that is made of it in reports/proven"
        )
    _saved_model_process.check(path)


def check_files(path: Path, reference: Path | None) -> None:
    """Raises UserError for a .tflite or .onnx file, or a reference of it, that cannot be taken."""
    inspect_foreign.read(path)
    if reference is None:
        return
    if reference.is_dir():
        check_folder(reference, {})
    elif reference.suffix in inspect_foreign.SUFFIXES:
        inspect_foreign.read(reference)
    else:
        check(reference)


def check(path: Path) -> None:
    """Raises UserError for a file that would not be taken, before params.yaml is changed."""
    if not path.exists():
        raise UserError(
            f"{path} does not exist; expected a .keras, .h5, .tflite or .onnx file, or the folder "
            "of a SavedModel"
        )
    if not str(path).endswith(SUFFIXES):
        raise UserError(
            f"{path} is not a Keras model; expected a .keras, .h5, .tflite or .onnx file, or the "
            "folder of a SavedModel"
        )
    with imports.keras_import():
        from pipeline.training import foreign_file
    foreign_file.check(path)
