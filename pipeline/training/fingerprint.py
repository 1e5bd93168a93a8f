"""What the weights of a training follow from: params, data and code, as one key. Another of these is another training."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from pipeline.config import params
from pipeline.config.params import Train
from pipeline.files import artifacts, timing_cache

CODE = (
    "architectures/_layers",
    "training/averaging",
    "training/batch_normalization",
    "training/batches",
    "training/fit",
    "training/keras_objects",
    "training/layers",
    "training/schedules",
    "training/checkpoint",
    "training/transfer",
)


def of(chosen: Train, data: Iterable[str]) -> str:
    """The key of a training on data with these digests."""
    start = [Path(chosen.start_from)] if chosen.starts_from_a_model else []
    code = [params.PACKAGE / f"{name}.py" for name in (*CODE, f"architectures/{chosen.architecture}")]
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")  # as stage.keras_import has it
    return timing_cache.digest(
        [chosen.model_dump_json(), metadata.version("keras"), backend, *data, *map(artifacts.sha256, [*code, *start])]
    )
