"""How many examples each split will have."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.files.reports import folds
from pipeline.files.reports.folds import FOLDS
from pipeline.files.splits import has_one_of_each, validation_count
from pipeline.planning.data import Survey
from pipeline.process.errors import UserError
from pipeline.process.words import counted

TEST = 0.2
FEW = 2000  # images outside the test set: below that a fifth of them validates, not a tenth


@dataclass(frozen=True)
class Parts:
    """How many examples each split will have, and how many folds can judge the recipe."""

    train: int
    validation: int
    test: int
    folds: int = FOLDS

    @property
    def unseen(self) -> int:
        return self.validation + self.test


def check_classes(data: Survey) -> None:
    """Raises UserError if a class has too few examples for each split to have one."""
    needed = 2 if data.examples.get("test") else 3
    few = [name for name, count in data.counts.items() if count < needed]
    if not (few and has_one_of_each(data.target)):
        return
    where = "training and validation" if needed == 2 else "training, validation and test"
    raise UserError(
        f"{counted(len(few), 'class', 'classes')} with fewer than {needed} examples, such as "
        f"{few[0]} with {data.counts[few[0]]}; expected one for each of {where}: add some, or "
        "leave such a class out"
    )


def parts(data: Survey) -> Parts:
    """The splits, with TEST and `validation_share` where the data have none of their own."""
    examples, test = data.examples["train"], data.examples.get("test", 0)
    fewest = len(data.counts) if has_one_of_each(data.target) else 0
    if not test:
        test = max(round(TEST * examples), fewest)
        examples -= test
    validation = data.examples.get("validation", 0)
    if not validation:
        validation = max(validation_count(validation_share(examples), examples), fewest)
        examples -= validation
    return Parts(examples, validation, test, _folds(data))


def _folds(data: Survey) -> int:
    """As many as the groups outside the test set allow."""
    if not data.groups:
        return FOLDS
    if data.examples.get("test"):
        return folds.number(data.groups, data.groups_of_class)
    return folds.number(
        *(count - max(1, round(TEST * count)) for count in (data.groups, data.groups_of_class))
    )


def validation_share(examples: int) -> float:
    return 0.2 if examples < FEW else 0.1
