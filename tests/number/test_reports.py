"""What gates and diagnosis say of numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.diagnosis.diagnosis import MostError
from pipeline.diagnosis.rules import diagnose
from pipeline.files.reports.evaluate import NumberReport
from pipeline.targets import _errors
from tests.number.conftest import OWN

# Whichever test comes first makes the project, in this process.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]


def test_a_group_with_large_errors_comes_first() -> None:
    labels = np.zeros(30, np.float32)
    outputs = np.repeat([[1.0], [5.0], [2.0]], 10, axis=0)
    judged = _errors.judge(np.ones(30), np.full(30, 2.0), 3.0, "degrees")
    assert judged.baseline_beaten
    report = NumberReport(
        model_sha256="",
        test_images=30,
        unit="degrees",
        test_error=1.0,
        test_error_interval=(1.0, 1.0),
        root_mean_square_error=1.0,
        root_mean_square_error_interval=(1.0, 1.0),
        r_squared=0.0,
        r_squared_interval=(0.0, 0.0),
        gate=judged,
    )
    names = np.repeat(["near", "far", ""], 10).tolist()
    grouped = _errors.with_groups(report, outputs, labels, OWN, names)
    assert isinstance(grouped, NumberReport)
    assert grouped.per_group is not None
    assert list(grouped.per_group) == ["far", "near"]
    assert _errors.remarks(grouped)[1] == (
        "the worst of 2 groups is 'far': 5 degrees on 10 examples"
    )


def test_the_gates_say_what_is_missing_in_the_unit() -> None:
    errors = np.linspace(1, 3, 50)
    missed = _errors.judge(errors, errors, 1.5, "degrees")
    assert missed.sentences == [
        "the mean absolute error on the test set, 2 degrees, is above problem.target 1.5; change "
        "the model or the data, and train again",
        "the mean absolute error on the test set, 2 degrees, is not significantly below the "
        "baseline's 2 degrees (p = 1.000); change the model or the data, and train again",
    ]
    (worse,) = _errors.judge(errors, errors - 0.1, 2.0, "degrees").sentences
    assert "test set, 2 degrees, is above the baseline's 1.9 degrees; change" in worse
    assert _errors.judge(errors, errors + 0.1, 2.0, "degrees").passed
    (better,) = _errors.judge(errors, errors[::-1] + 0.1, 2.0, "degrees").sentences
    assert "not significantly below the baseline's 2.1 degrees (p = " in better
    assert "; more test examples may show that it is better; else change the model" in better


@pytest.mark.parametrize(
    ("errors", "verdict", "words"),
    [
        ([9, 6, 4.5, 4.2, 4.1, 4.1], "too_little_capacity", "4.1 degrees, above the target of 2 d"),
        ([9, 7, 5.5, 4, 2.6, 1.5], "stopped_early", "both losses are still falling"),
        ([9, 3, 1.4, 1.3, 1.3, 1.3], "good_fit", "nothing is wrong"),
        ([9, 5, np.nan, 2, 1.6, 1.5], "diverged", "the training error is NaN or infinite"),
    ],
)
def test_the_diagnosis_speaks_of_the_error(errors: list[float], verdict: str, words: str) -> None:
    rows = [
        {
            "epoch": float(index + 1),
            "train_loss": error / 20 if math.isfinite(error) else 0.2,
            "validation_loss": error / 20 if math.isfinite(error) else 0.2,
            "train_error": error,
            "validation_error": error,
        }
        for index, error in enumerate(errors)
    ]
    diagnosis = diagnose(rows, target=MostError(2.0, "degrees"))
    assert diagnosis.verdict == verdict
    assert words in diagnosis.sentence
    assert "accuracy" not in diagnosis.sentence
