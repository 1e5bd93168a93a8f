"""Files passed between stages, and pictures, of names that a person may give to classes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline import artifacts, pictures

NAMES = ["cat, big", 'the "dog"', "c$_$d"]


def test_names_with_commas_and_quotes_come_back_from_a_table(tmp_path: Path) -> None:
    artifacts.save_csv(tmp_path / "confusion.csv", ("actual", "predicted"), [(name, NAMES[0]) for name in NAMES])
    with (tmp_path / "confusion.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["actual", "predicted"], *([name, NAMES[0]] for name in NAMES)]


@pytest.mark.parametrize("shape", [(3, 8, 8, 1), (3, 8, 8, 3)])
def test_names_that_look_like_formulas_are_drawn_as_they_are(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pictures.images(tmp_path / "means.png", np.zeros(shape), NAMES)
    pictures.confusion_matrix(tmp_path / "confusion.png", np.eye(3), NAMES)
    pictures.telling_ids(tmp_path / "ids.png", np.zeros((3, 3)), NAMES, NAMES)
    pictures.texts(tmp_path / "texts.png", NAMES, NAMES)
    assert len(list(tmp_path.glob("*.png"))) == 4
