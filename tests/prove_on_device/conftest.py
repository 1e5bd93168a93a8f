"""The runtimes of this processor, and cards with other proofs."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipeline.runtimes import environments
from pipeline.runtimes.process import Interpreter
from serving.model_card import ModelCard
from serving.model_file import ModelFile

FEW = ["--images", "100"]


def here(runtime: str) -> Interpreter:
    return Interpreter.here(environments.python(runtime))


def with_proofs(card: ModelCard, **values: Any) -> list[ModelFile]:
    """The files of a card with other values in all their proofs."""
    files = []
    for file in card.files:
        proofs = [dataclasses.replace(proof, **values) for proof in file.proofs]
        files.append(dataclasses.replace(file, proofs=proofs))
    return files
