"""The .tflite files that are made of a SavedModel of somebody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.files import artifacts
from pipeline.files.reports.train import Origin
from pipeline.formats import _saved_model_files
from pipeline.runtimes import inspect_foreign
from pipeline.search import foreign_model
from pipeline.search.foreign_model import ForeignModel


def quantized(model: ForeignModel, path: Path, folder: Path) -> ForeignModel:
    """The file `path`, which was made of `model` in integers: pixels are scaled as for that."""
    interface = inspect_foreign.read(path)
    requirements = interface.requirements
    adapter = replace(
        model.adapter,
        dtype=interface.dtype,
        input_quantization=requirements.input_quantization,
        output_quantization=requirements.output_quantization,
    )
    update = {"file": path.name, "sha256": artifacts.sha256(path)}
    origin = model.origin.model_copy(update=update)
    folder.mkdir()
    return ForeignModel(
        path, foreign_model.link(path, folder / path.name, adapter), adapter, origin
    )


def origin(folder: Path, converted: Origin) -> Origin:
    """Where the SavedModel is from, by the origin of a file that was converted from it."""
    update = {"file": folder.name, "sha256": _saved_model_files.sha256(folder)}
    return converted.model_copy(update=update)
