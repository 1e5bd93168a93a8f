"""The sentences below the table that the line ends with."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import summary


def told(*emulated: dict[str, Any]) -> str:
    here = {"processor": "native", "runtime": "litert", "runtime_version": "2.3.0", "images": 500}
    there = [{"processor": "haswell", "runtime": "litert", **pair} for pair in emulated]
    return summary.notes({"pairs": [here, *there], "judged_on": {"test": 400, "validation": 100}})


@pytest.mark.parametrize(
    ("emulated", "sentence"),
    [
        (
            [{"images": 40, "golden_difference": 0.01}, {"images": 4, "golden_difference": 1e-6}],
            "40 test images, of files that compute in float32 4, and the golden vectors, whose probabilities differ from those here "
            "by at most 0.01. ",
        ),
        (
            [{"images": 40, "golden_difference": 0.01}],
            "40 test images and the golden vectors, whose probabilities differ from those here by at most 0.01. ",
        ),
        ([{"images": 40}], "40 test images. "),
        ([{"images": 40}, {"images": 4}], "40 test images, of files that compute in float32 4. "),
    ],
)
def test_what_emulated_processors_saw_is_told_and_nothing_that_they_did_not(emulated: list[dict[str, Any]], sentence: str) -> None:
    assert f" On each emulated processor {sentence}" in told(*emulated)


def test_without_an_emulated_processor_nothing_is_said_of_one() -> None:
    assert "emulated" not in told()
