"""Classes that differ in the sizes of their pictures, or the lengths of their recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.planning import survey, unlike_classes
from tests.planning.conftest import photo
from tests.sounds.conftest import tone, wav


@pytest.mark.parametrize(("small", "is_said"), [((40, 30), True), ((130, 100), False)])
def test_sizes_that_tell_the_classes_apart_are_said(
    folder: Path, small: tuple[int, int], is_said: bool
) -> None:
    for number in range(6):
        photo(Path("made") / "old" / f"{number}.png", number, small)
        photo(Path("made") / "new" / f"{number}.png", number, (250, 190))
    remarks = " ".join(survey.survey(Path("made")).remarks)
    said = "nearly all pictures of old have at most 30 pixels on the shorter side, and those of new"
    assert (said in remarks) == is_said


@pytest.mark.parametrize(
    ("seconds", "is_said"), [((0.3, 1.0), True), ((0.6, 1.0), False), ((4.0, 9.0), False)]
)
def test_lengths_that_tell_the_classes_apart_are_said(
    folder: Path, seconds: tuple[float, float], is_said: bool
) -> None:
    """What is longer than is used is as good as equal."""
    for label, length in zip(("knock", "ring"), seconds, strict=True):
        for number in range(6):
            path = Path("heard") / label / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wav(tone(seconds=length)))
    remarks = " ".join(survey.survey(Path("heard")).remarks)
    said = (
        "nearly all recordings of knock last at most 0.3 s, and those of ring at least 1: shorter"
    )
    assert (said in remarks) == is_said


def test_a_stray_and_a_class_of_few_say_nothing() -> None:
    values = [("a", 10.0)] * 40 + [("a", 500.0)] + [("b", 300.0)] * 40 + [("c", 9000.0)] * 4
    assert unlike_classes.find(values) == ("a", 10, "b", 300)
    assert unlike_classes.find([*values, *[("a", 200.0)] * 5]) is None
    few = [("a", 10.0)] * 5 + [("a", 80.0)] + [("b", 300.0)] * 6
    assert unlike_classes.find(few) == ("a", 80, "b", 300), "a value of the class itself"
