"""What the stage says of the test set beside its score."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluate import unlike_validation


@pytest.mark.parametrize(
    ("right", "count", "is_said"),
    [
        (1150, 1539, True),
        (1430, 1539, False),
        (1539, 1539, False),
        (13, 16, False),
        (90_000, 100_000, False),
    ],
)
def test_a_test_set_that_is_unlike_the_validation_set_is_said(
    right: int, count: int, is_said: bool
) -> None:
    test, validation = np.arange(count) < right, np.arange(258) < 243
    sentences = unlike_validation(test, validation)
    assert bool(sentences) == is_said
    for sentence in sentences:
        assert "94.19 % of the validation set are right, and only 74.72 % of the test" in sentence
        assert "preprocess.group" in sentence
