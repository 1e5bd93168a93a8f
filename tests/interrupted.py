"""Trainings that are killed after some of their epochs, and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.config.params import Train

if TYPE_CHECKING:
    from pipeline.training.fit import TrainedModel


class KilledError(Exception):
    pass


def interrupted(train: Train, data: Any, folder: Path, *epochs: int) -> TrainedModel:
    """The training of `data` that was killed after each of these epochs."""
    from pipeline.training import fit

    for last in epochs:

        def kill(row: dict[str, float], last: int = last) -> None:
            if row["epoch"] == last:
                raise KilledError

        with pytest.raises(KilledError):
            fit.fit(train, data, folder, kill)
    return fit.fit(train, data, folder, lambda row: None)


def assert_same_weights(model: Any, expected: Any) -> None:
    for weights, others in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, others)
