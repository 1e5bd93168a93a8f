"""Keys of params.yaml that dvc.yaml names, so that they must be there although they have a default.

DVC itself would stop with a message about its own file.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from pipeline.process.errors import UserError

NONE = "pipeline/none"  # stands for no file: DVC needs a dependency that exists
KEYS = (
    "dataset.path",
    "dataset.other",
    "preprocess.corrections",
    "model.path",
    "evaluate.folds",
)


def check(settings: BaseModel, path: Path) -> None:
    """Raises UserError if one of them is missing in the file."""
    for key in KEYS:
        section, name = key.split(".")
        values = getattr(settings, section)
        if name not in values.model_fields_set:
            default = type(values).model_fields[name].default
            raise UserError(f"{path}: {key} is missing; add `{name}: {default}` to {section}")
