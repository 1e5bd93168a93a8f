"""`package` says if the draft of the task lists other classes than the data have now."""

from __future__ import annotations

import dataclasses
import string

import pytest

from pipeline import package
from pipeline.planning.data import Survey
from serving.typed_json import Text
from tests.planning.conftest import values
from tests.test_photo import card

MANY = list(string.ascii_lowercase[:20])


@pytest.mark.parametrize(
    ("drafted", "now", "is_old"),
    [
        (["glass", "metal"], ["glass", "metal"], False),
        (["glass", "metal"], ["cardboard", "glass", "metal"], True),
        (["glass", "metal"], ["glass", "tin"], True),
        (MANY, MANY, False),
        (MANY, MANY[1:], True),
    ],
)
def test_a_class_that_was_added_removed_or_renamed_makes_the_statement_old(
    drafted: list[str], now: list[str], is_old: bool
) -> None:
    data = Survey({}, drafted, {"train": 400}, dict.fromkeys(drafted, 20), side=50)
    content = dataclasses.replace(
        card("image_folder"), statement=Text(values(data)["problem.statement"]), class_names=now
    )
    assert package.lists_others(content) == is_old
    own = dataclasses.replace(content, statement=Text("Which kind of waste is it?"))
    assert not package.lists_others(own)
