"""The .tflite files that are made of a SavedModel of somebody else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.files import artifacts, atomic
from pipeline.files.reports.prove import FileReport
from pipeline.files.reports.train import Origin
from pipeline.formats import _saved_model_files
from pipeline.proving import foreign_model, prove_report
from pipeline.proving.foreign_model import ForeignModel
from pipeline.runtimes import inspect_foreign

KEPT = artifacts.REPORTS / "proven"


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


def keep(files: Sequence[Path], report: FileReport) -> None:
    """Copies into KEPT those that run here and are nowhere worse; of others none stays there."""
    for file in files:
        pairs = [pair for pair in report.pairs if pair.format == file.name]
        if prove_report.passed(report.model_copy(update={"pairs": pairs}), "not worse"):
            with atomic.replacing(KEPT / file.name) as temporary:
                shutil.copyfile(file, temporary)
        else:
            (KEPT / file.name).unlink(missing_ok=True)


def origin(folder: Path, converted: Origin) -> Origin:
    """Where the SavedModel is from, by the origin of a file that was converted from it."""
    update = {"file": folder.name, "sha256": _saved_model_files.sha256(folder)}
    return converted.model_copy(update=update)
