"""Your own data as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Dataset
from pipeline.datasets import npz
from pipeline.process.errors import UserError
from tests.test_fetch import claiming


def test_an_npz_of_your_own_needs_no_test_part(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "own.npz",
        x_train=np.zeros((4, 5, 6, 3), np.uint8),
        y_train=np.array([0, 1, 2, 1]),
    )
    raw = npz.load(Dataset(name="npz", path=str(tmp_path / "own.npz")))
    assert raw.class_names == ["0", "1", "2"]
    assert len(raw.test_labels) == 0


SOUND = {"x_train": np.zeros((2, 3, 3), np.uint8), "y_train": np.array([0, 1])}


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"x_train": np.zeros((2, 3, 3, 1), np.float32), "y_train": np.zeros(2, int)},
            "x_train is float32",
        ),
        ({"x_train": np.zeros((2, 3, 3), np.uint8)}, "has no array y_train"),
        ({"x_train": np.zeros((2, 3, 3), np.uint8), "y_train": np.zeros((2, 2))}, "is float64"),
        ({"x_train": np.array([{}], object), "y_train": np.zeros(1, int)}, "holds Python objects"),
        (
            {**SOUND, "x_test": np.zeros((2, 4, 4), np.uint8), "y_test": np.zeros(2, int)},
            r"x_test is uint8 of shape \(2, 4, 4, 1\) and x_train",
        ),
        (
            {**SOUND, "x_test": np.zeros((2, 9), np.int32), "y_test": np.zeros(2, int)},
            "x_test is int32",
        ),
        (
            {**SOUND, "x_train": np.zeros((2, 3, 3, 2), np.uint8)},
            "x_train has 2 channels; expected 1 or 3",
        ),
        (
            {**SOUND, "class_names": np.array(["a", "b", "b", "c"])},
            "class_names has 'b' more than once",
        ),
        ({**SOUND, "y_train": np.array([0, 10**9])}, "labels up to 1000000000 and 2 examples"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str
) -> None:
    np.savez(tmp_path / "own.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=sentence):
        npz.load(Dataset(name="npz", path=str(tmp_path / "own.npz")))


def test_an_npz_of_your_own_that_claims_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(claiming((10**15,)))
    with pytest.raises(UserError, match="is not a readable npz file"):
        npz.load(Dataset(name="npz", path=str(tmp_path / "own.npz")))
