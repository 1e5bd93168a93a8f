"""Fingerprint of a training: a hash of everything the weights depend on (params, data, code)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from pipeline.config.params import Train
from pipeline.config.parts import PACKAGE
from pipeline.files import artifacts, code, digests

FOLDERS = (PACKAGE / "training", PACKAGE / "architectures")  # their code may change the weights


def of_training(params: Train, data_digests: Iterable[str]) -> str:
    """Two trainings with the same fingerprint end in the same weights.

    The number of processes changes their last bits only, and a training may go on with another.
    """
    start = [Path(params.start_from)] if params.starts_from_a_file else []
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")  # the default of imports.keras_import
    files = [*modules(params.architecture), *start]
    return digests.of_facts(
        [
            params.model_dump_json(exclude={"processes"}),
            metadata.version("keras"),
            backend,
            *data_digests,
            *map(artifacts.sha256, files),
        ]
    )


def modules(architecture: str) -> list[Path]:
    """The modules in FOLDERS that `fit` and the architecture import, directly or not."""
    used = code.closure([PACKAGE / "training/fit.py", PACKAGE / f"architectures/{architecture}.py"])
    return sorted(
        module for module in used if module.parent in FOLDERS and module.name != "__init__.py"
    )
