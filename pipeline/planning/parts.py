"""How many examples each split will have."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.files.splits import validation_count
from pipeline.planning.data import Survey

TEST = 0.2
FEW = 2000  # images outside the test set: below that a fifth of them validates, not a tenth


@dataclass(frozen=True)
class Parts:
    """How many examples each split will have."""

    train: int
    validation: int
    test: int

    @property
    def unseen(self) -> int:
        return self.validation + self.test


def parts(data: Survey) -> Parts:
    """The splits, with TEST and `validation_share` where the data have none of their own."""
    examples, test = data.examples["train"], data.examples.get("test", 0)
    if not test:
        test = round(TEST * examples)
        examples -= test
    validation = data.examples.get("validation", 0)
    if not validation:
        validation = validation_count(validation_share(examples), examples)
        examples -= validation
    return Parts(examples, validation, test)


def validation_share(examples: int) -> float:
    return 0.2 if examples < FEW else 0.1
