"""What `edgeproof folds` reports for the gate: how right a recipe is on examples it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pipeline.config.params import NONE, Params
from pipeline.files import artifacts, digests
from pipeline.files.artifacts import Description
from pipeline.files.reports.evaluate import FoldScore
from pipeline.files.reports.report import Report
from serving.metric import ACCURACY

FOLDS = 5  # unless the user asks for another number
SECTIONS = {"dataset", "preprocess", "train"}  # of params.yaml: the recipe
NO_DIFFERENCE = {"preprocess": {"store"}}  # it only says where pixels are


def command(fewest: int) -> str:
    """How to run folds of data that have so many examples of the rarest class for them."""
    return "`edgeproof folds`" if fewest >= FOLDS else f"`edgeproof folds --folds {max(2, fewest)}`"


class FoldsReport(Report):
    PATH: ClassVar = artifacts.FOLDS

    recipe: str  # `recipe` of the params and data
    score: FoldScore


def recipe(settings: Params, description: Description) -> str:
    """A key of the data, of all that a training depends on, and of the metric it is judged by."""
    corrections = settings.preprocess.corrections
    return digests.of_facts(
        [
            settings.model_dump_json(include=SECTIONS, exclude=NO_DIFFERENCE),
            str(sorted(description.sha256.items())),
            *([] if corrections == NONE else [artifacts.sha256(Path(corrections))]),
            *([] if settings.problem.metric == ACCURACY else [settings.problem.metric]),
        ]
    )
