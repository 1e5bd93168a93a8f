"""`edgeproof start` on labels and groups that cannot be in each split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.planning import outlook, survey
from pipeline.planning.parts import check_classes
from pipeline.process.errors import UserError
from tests.planning.conftest import arrays, listed


@pytest.mark.parametrize(
    ("people", "split", "group"),
    [(3, "", "person"), (2, "", None), (2, "test", "person"), (1, "", None)],
)
def test_groups_that_cannot_be_in_each_split_are_not_proposed(
    folder: Path, people: int, split: str, group: str | None
) -> None:
    def cell(number: int) -> str:
        part = split if number % 5 == 4 else "train"
        return f"{number % 2},p{number % people},{part}"

    data = survey.survey(listed(folder, "id,label,person,split", cell))
    assert (data.group, data.groups) == (group, people if group else 0)
    too_few = [line for line in data.remarks if "too few to keep each in one split" in line]
    assert len(too_few) == (group is None)


@pytest.mark.parametrize(("people", "is_said"), [(2, True), (3, False)])
def test_a_class_in_too_few_groups_for_the_splits_is_said(
    folder: Path, people: int, is_said: bool
) -> None:
    def cell(number: int) -> str:
        return f"{int(number % 6 < people and number > 20)},p{number % 6}"

    lines = outlook.classes(survey.survey(listed(folder, "id,label,person", cell)))
    assert any("a class is in 2 of 6 groups" in line for line in lines) == is_said


def test_people_in_an_array_are_groups(tmp_path: Path) -> None:
    data = survey.survey(arrays(tmp_path / "n.npz", person_train=np.arange(30) % 6))
    assert (data.group, data.groups) == ("person", 6)


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        (
            lambda number: "old;cat"[: 3 + 4 * (number % 2)],
            "every example has the label old: there is nothing to learn; leave it out",
        ),
        (
            lambda number: ["old", "cat", "old;cat;wet"][2 if number < 2 else number % 2],
            r"1 label has fewer than 3 examples \(wet 2\), one for each of training",
        ),
    ],
)
def test_a_label_from_which_nothing_can_be_learned_is_refused(
    folder: Path, label: Callable[[int], str], sentence: str
) -> None:
    data = survey.survey(listed(folder, "id,tags", label))
    with pytest.raises(UserError, match=sentence):
        check_classes(data)


def test_a_part_of_the_user_that_lacks_a_label_is_refused(folder: Path) -> None:
    def label(number: int) -> str:
        return "cat;wet,train" if number % 2 else f"{'cat' * (number < 40)},test"

    with pytest.raises(UserError, match="label 'wet' has no example in the test part of your dat"):
        survey.survey(listed(folder, "id,tags,split", label))
