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
FEW_FOLDS = 3  # of few groups
SECTIONS = {"dataset", "preprocess", "train"}  # of params.yaml: the recipe
NO_DIFFERENCE = {"preprocess": {"store"}}  # it only says where pixels are


def command(fewest: int) -> str:
    """The command that runs folds; `fewest` is the number of examples of the rarest class."""
    return "`edgeproof folds`" if fewest >= FOLDS else f"`edgeproof folds --folds {max(2, fewest)}`"


class FoldsReport(Report):
    PATH: ClassVar = artifacts.FOLDS

    recipe: str  # `recipe` of the params and data
    score: FoldScore


def number(groups: int, of_class: int) -> int:
    """How many folds to make of `groups` groups outside the test set; 0 if there are too few.

    `of_class` of them hold the class that the fewest hold. A group is in one fold, and each class
    needs one to hold out, one to validate by and one to train on. Five folds of fewer than eight
    groups often differ too little by chance, as tests/groups/test_fold_intervals.py shows.
    """
    if groups >= 8 and of_class >= 4:
        return FOLDS
    return FEW_FOLDS if of_class >= 4 or of_class == groups == FEW_FOLDS else 0


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
