"""How good answers to examples of the raw data are, in the unit of the params."""

from __future__ import annotations

from dataclasses import replace

from pipeline import targets
from pipeline.config.params import Params
from pipeline.files import raw
from pipeline.files.artifacts import Array, Description
from pipeline.process.errors import UserError
from pipeline.reporting.measure import Judged
from pipeline.reporting.metrics import ACCURACY


def described(settings: Params) -> Description:
    """The raw data. Raises UserError if they are others than in params.yaml, or have no unit."""
    description = replace(raw.description(), unit=settings.problem.unit)
    if description.name != settings.dataset.name:
        raise UserError(
            f"data/raw holds {description.name}, but params.yaml says {settings.dataset.name};"
            " run `dvc repro preprocess`"
        )
    targets.check_unit(description)
    return description


def judged(outputs: Array, labels: Array, settings: Params, metric: str = ACCURACY) -> Judged:
    """Outputs for examples with these labels, under this metric unless they are numbers."""
    description = described(settings)
    return targets.scoring(description.target).judged(outputs, labels, description, metric)
