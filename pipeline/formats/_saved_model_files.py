"""The files of a SavedModel that are read: its graph and its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.files import artifacts
from pipeline.process.errors import UserError
from serving.errors import printable

GRAPH = "saved_model.pb"
WEIGHTS = "variables/variables"  # how the names of their files begin
MOST_BYTES = 2**31  # of a protocol buffer, and of a .tflite file


def check(folder: Path) -> None:
    """Raises UserError unless they are files of a size that can be read; no other is opened."""
    shown = printable(str(folder))
    if not (folder / GRAPH).is_file():
        raise UserError(
            f"{shown} is a folder without the file {GRAPH}; expected a SavedModel, or a .keras, "
            ".h5, .tflite or .onnx file"
        )
    for path in (files := _files(folder)):
        if not path.is_file():
            raise UserError(
                f"{printable(str(path))} is not a file; expected the folder as its maker saved it"
            )
    if sum(path.stat().st_size for path in files) >= MOST_BYTES:
        raise UserError(f"{shown} has more than 2 GB; expected a smaller model")


def sha256(folder: Path) -> str:
    """The digest of their names and contents."""
    facts = [f"{path.relative_to(folder)} {artifacts.sha256(path)}" for path in _files(folder)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return [folder / GRAPH, *sorted(folder.glob(f"{WEIGHTS}.*"))]
