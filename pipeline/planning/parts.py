"""How many examples each split will have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config.parts import one_class_each
from pipeline.files.reports.folds import FOLDS, number
from pipeline.files.splits import has_one_of_each, validation_count
from pipeline.planning.data import Survey
from pipeline.process.errors import UserError
from pipeline.process.words import counted, verb

TEST = 0.2
NAMED = 5  # classes in a sentence
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
    """Raises UserError if each split cannot have an example of each class or label, or all do."""
    if not has_one_of_each(data.target):
        return
    noun, plural = ("class", "classes") if one_class_each(data.target) else ("label", "labels")
    needed = 2 if data.examples.get("test") else 3
    few = sorted((count, name) for name, count in data.counts.items() if count < needed)
    if few:
        where = "training and validation" if needed == 2 else "training, validation and test"
        named = ", ".join(f"{name} {count}" for count, name in few[:NAMED])
        such = f"such as {named}" if len(few) > NAMED else named
        raise UserError(
            f"{counted(len(few), noun, plural)} {verb(len(few), 'has', 'have')} fewer than "
            f"{needed} examples ({such}), one for each of {where}: add some, or leave the "
            f"{verb(len(few), noun, plural)} out"
        )
    outside_test = sum(data.examples.values()) - data.examples.get("test", 0)
    always = [name for name, count in data.counts.items() if count == outside_test]
    if always:
        raise UserError(
            f"every example has the {noun} {' and '.join(always[:NAMED])}: there is nothing to "
            "learn; leave it out"
        )


def fewest_outside_test(data: Survey) -> int:
    """How many examples of the rarest class or label are left for training and validation."""
    share = 1 if data.examples.get("test") else 1 - TEST
    return int(share * min(data.counts.values(), default=0))


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
    return Parts(examples, validation, test, data.folds)


def folds(names: Sequence[object], classes: Sequence[object], has_test: bool) -> int:
    """As many as the groups outside the test set surely allow.

    `names` are those of the groups of the examples outside a test set of the data, if there are
    groups, and `classes` their classes.
    """
    if not len(names):
        return FOLDS
    sizes = list(Counter(names).values())
    of_class = Counter(zip(classes, names, strict=True))
    sizes_of_class = defaultdict[object, list[int]](list)
    for (label, _), size in of_class.items():
        sizes_of_class[label].append(size)
    return number(
        _outside_test(sizes, has_test),
        min(_outside_test(each, has_test) for each in sizes_of_class.values()),
    )


def _outside_test(sizes: Sequence[int], has_test: bool) -> int:
    """How many groups of these sizes are left if the test set takes the smallest ones."""
    if has_test:
        return len(sizes)
    smallest = np.sort(sizes)
    tested = smallest.cumsum() - smallest / 2 < TEST * smallest.sum()
    return len(sizes) - max(1, int(tested.sum()))


def validation_share(examples: int) -> float:
    return 0.2 if examples < FEW else 0.1
