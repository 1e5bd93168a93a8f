"""What the weights of a training follow from: params, data and code, as one key. Another of these is another training."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from pipeline.config.params import Train
from pipeline.config.parts import PACKAGE
from pipeline.files import artifacts, code, digests

FOLDERS = (
    PACKAGE / "training",
    PACKAGE / "architectures",
)  # where code lies that may change the weights


def of(chosen: Train, data: Iterable[str]) -> str:
    """The key of a training on data with these digests."""
    start = [Path(chosen.start_from)] if chosen.starts_from_a_model else []
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")  # as imports.keras_import has it
    files = [*modules(chosen.architecture), *start]
    return digests.of_facts(
        [
            chosen.model_dump_json(),
            metadata.version("keras"),
            backend,
            *data,
            *map(artifacts.sha256, files),
        ]
    )


def modules(architecture: str) -> list[Path]:
    """The modules that fit an architecture's weights: what `fit` and the architecture import of these folders."""
    used = code.closure([PACKAGE / "training/fit.py", PACKAGE / f"architectures/{architecture}.py"])
    return sorted(
        module for module in used if module.parent in FOLDERS and module.name != "__init__.py"
    )
