"""What every target fulfils, and what is refused before anything is trained."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import preprocess
from pipeline.config.parts import choices, declared
from pipeline.files.artifacts import Description
from pipeline.process.errors import UserError
from pipeline.reporting.tables import BASELINES, listed
from pipeline.targets import (
    Recognition,
    Scoring,
    Target,
    _errors,
    _scores,
    classes,
    labels,
    number,
    recognition,
    scoring,
)


def test_every_target_fulfils_the_contract() -> None:
    # the type checker compares them with the contracts
    targets: list[Target] = [classes, labels, number]
    recognitions: list[Recognition] = [classes, labels]
    scorings: list[Scoring] = [_scores, _errors]
    assert [scoring(name) in scorings for name in choices("targets")] == [True] * len(targets)
    assert [recognition("classes"), recognition("labels")] == recognitions
    assert [target.BASELINES for target in targets] == [
        declared("targets", name)["BASELINES"] for name in choices("targets")
    ]
    for target in targets:
        assert target.BASELINES.keys() <= BASELINES.keys()


def test_a_single_class_is_refused_before_anything_is_trained() -> None:
    alone = Description("own", ["a"], (2, 2, 1), {}, [])
    with pytest.raises(UserError, match="the dataset has one class, 'a'; expected at least two"):
        preprocess.check(np.zeros((3, 2, 2, 1), np.uint8), np.zeros(3, int), alone, "training")


@pytest.mark.parametrize(
    ("count", "sentence"),
    [(1, "'0'"), (2, "'0' and '1'"), (3, "'0', '1' and '2'"), (12, "'9' and 2 more")],
)
def test_many_names_are_counted_and_not_listed(count: int, sentence: str) -> None:
    assert listed([str(number) for number in range(count)]).endswith(sentence)
