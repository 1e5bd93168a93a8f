"""The scores of each class, compared with their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.reporting import statistics


def test_per_class_scores_agree_with_their_definitions() -> None:
    matrix = statistics.confusion(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    scores = statistics.per_class(matrix, ["a", "b", "c"])
    assert scores["b"] == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
    }
    assert scores["c"] == {"precision": 0, "recall": 0, "f1": 0}
