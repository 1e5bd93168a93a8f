"""What a class that a split lacks is told to do can help."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.config.params import Preprocess
from pipeline.files import empty_classes
from pipeline.files.corrections import Edits
from pipeline.files.selection import Selection
from pipeline.process.errors import UserError

LABELS = np.array([0, 1, 2] * 6)  # the class of row r is r % 3
PARTS = {"train": np.arange(6), "validation": np.arange(6, 12), "test": np.arange(12, 18)}

# PARTS, but training has the examples of class c that are in validation
ALL_USED = {**PARTS, "train": [*range(6), 8, 11], "validation": [6, 7, 9, 10]}


def without(part: str, *others: str) -> dict[str, Any]:
    """PARTS, of which these lack class c."""
    lacking = (part, *others)
    return {
        name: [row for row in rows if name not in lacking or row % 3 < 2]
        for name, rows in PARTS.items()
    }


def test_one_of_several_labels_is_looked_for_too() -> None:
    several = np.eye(3, dtype=np.int64)[LABELS]
    several[:, 0] = 1
    selections = {
        part: Selection(several, several, np.array(rows), None, Edits(), 0)
        for part, rows in without("test").items()
    }
    settings = Preprocess.model_validate(
        {"subset": None, "validation": 0.1, "order": "stratified", "seed": 42}
    )
    with pytest.raises(
        UserError,
        match="label 'c' has no example in the test part: the data have 6 examples of it; raise ",
    ):
        empty_classes.check(selections, ["a", "b", "c"], {}, np.arange(18), settings)


@pytest.mark.parametrize(
    ("rows", "own", "values", "sentence"),
    [
        (
            without("train", "test"),
            ["validation"],
            {},
            "train part: the data have 4 examples of it outside of your own validation part; "
            "lower dataset.test, or leave",
        ),
        (
            {**without("test"), "validation": [*range(3, 12), 14, 17]},
            ["validation"],
            {},
            "1 example of it outside of your own validation part; expected at least 2, one for",
        ),
        (
            {**without("train"), "validation": np.arange(18)},
            ["validation", "test"],
            {},
            "train part: the data have 0 examples of it outside of your own validation and test "
            "parts; expected at least 1",
        ),
        (without("train"), ["test"], {}, "own test part; lower preprocess.validation, or leave"),
        (without("train"), [], {}, "lower preprocess.validation or dataset.test, or leave"),
        (without("test"), [], {"order": "first", "subset": 10}, "raise dataset.test"),
        (without("validation"), [], {"order": "first", "subset": 10}, "raise preprocess.subset"),
        (ALL_USED, [], {"order": "first", "subset": 1000}, "set preprocess.order to stratified"),
        (ALL_USED, [], {"subset": 1000}, "raise preprocess.validation"),
        (
            {**PARTS, "train": [0, 1, 3, 4], "test": [2, 5, *range(12, 18)]},
            ["validation"],
            {"subset": 1000},
            "lower dataset.test",
        ),
        (without("validation"), [], {"order": "first"}, "set preprocess.order to stratified"),
        (without("validation"), [], {}, "raise preprocess.validation"),
        (without("train"), ["validation"], {"order": "first"}, "lower dataset.test"),
    ],
)
def test_the_cure_is_one_that_helps(
    rows: dict[str, Any], own: list[str], values: dict[str, Any], sentence: str
) -> None:
    selections = {
        part: Selection(LABELS, LABELS, np.array(numbers), None, Edits(), 0)
        for part, numbers in rows.items()
    }
    settings = Preprocess.model_validate(
        {"subset": None, "validation": 0.1, "order": "stratified", "seed": 42, **values}
    )
    own_rows = {part: selections[part].rows for part in own}
    with pytest.raises(UserError, match=sentence):
        empty_classes.check(selections, ["a", "b", "c"], own_rows, np.arange(18), settings)
