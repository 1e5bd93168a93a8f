"""The verdict on made-up learning curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.diagnosis.rules import diagnose
from pipeline.files.reports.preprocess import Evidence
from pipeline.search.remedies import REMEDIES
from pipeline.training import learning_curves
from tests.diagnosis.conftest import CONVERGED, FALLEN, SOUND_DATA, table


def test_a_blip_of_noise_is_not_an_upturn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        epochs = np.arange(1, 31)
        train, validation = (0.1 + np.exp(-epochs / 4) + rng.normal(0, 0.01, 30) for _ in range(2))
        rows = [
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "validation_loss": validation_loss + 0.02,
                "train_accuracy": 0.97,
                "validation_accuracy": 0.96,
            }
            for epoch, train_loss, validation_loss in zip(epochs, train, validation, strict=True)
        ]
        assert diagnose(rows).verdict == "good_fit"


@pytest.mark.parametrize("evidence", [None, SOUND_DATA])
@pytest.mark.parametrize(
    ("rows", "verdicts"),
    [
        (table([0.1], [0.97]), {"too_few_epochs"}),
        (table([5.0, 2.2], [0.4]), {"too_few_epochs"}),
        (table([5.0, 3.5, 2.2], [0.1, 0.2, 0.4]), {"stopped_early"}),
        (table([5.0, 4.0, 3.2, 2.6, 2.2], [0.1, 0.2, 0.3, 0.35, 0.4]), {"stopped_early"}),
        (
            table([4.6, 3.6, 3.1, 2.8, 2.6, 2.5, 2.4, 2.35, 2.32, 2.3, 2.29, 2.29], [0.4]),
            {"too_little_capacity"},
        ),
        (
            table([0.7342, 0.405, 0.3595, 0.3458, 0.346, 0.3427], [0.055, 0.39, 0.375]),
            {"too_little_capacity"},
        ),
        (table([2.5, 30, 400, 5000], [0.1]), {"diverged"}),
        (table([2.5, 1.5, 0.9, 1.4, 2.2, 2.4], [0.1, 0.5, 0.7, 0.5, 0.2, 0.1]), {"diverged"}),
        (table([2.303, 2.31, 2.304, 2.302, 2.303, 2.304], [0.1]), {"vanishing_gradients"}),
        (table(CONVERGED, [0.995]), {"good_fit"}),
        (table(CONVERGED[::-1], [0.995]), {"good_fit"}),
        (table([0.5, 0.1, 0.0, 0.0, 0.0], [1.0]), {"good_fit"}),
        (table(FALLEN, [0.99], [2.0, 1.2, 1.0], [0.70]), {"overfit", "unrepresentative_training"}),
    ],
)
def test_made_up_curves_have_the_right_verdict(
    rows: list[learning_curves.Row], verdicts: set[str], evidence: Evidence | None
) -> None:
    diagnosis = diagnose(rows, evidence, target=0.99)
    assert diagnosis.verdict in verdicts
    assert diagnosis.verdict != "unrepresentative_training" or evidence is None, (
        "the evidence says that the parts do not differ"
    )
    assert np.isfinite(list(diagnosis.numbers.values())).all()


def test_a_gap_begins_where_the_curves_part() -> None:
    right = [0.43, 0.71, 0.80, 0.90, 0.95, 0.99]
    rows = table(FALLEN, right, [1.5, 1.2, 1.0], [0.67, 0.78, 0.80, 0.80, 0.82])
    assert diagnose(rows, SOUND_DATA, target=0.99).epoch == 4


FALLING = [2.0, 1.5, 1.1, 0.8, 0.6, 0.45, 0.3, 0.2]


@pytest.mark.parametrize(
    ("last_rate", "target", "verdict", "reason"),
    [
        (
            0.0,
            0.9,
            "stopped_early",
            "and the accuracy of 85.0 % is below the target of 90.0 %: train ",
        ),
        (
            0.0,
            0.8,
            "good_fit",
            "nothing is wrong: both losses fell until the learning rate ran out, the "
            "validation loss to 0.2; the accuracy of 85.0 % is not below the target of 80.0 %",
        ),
        (1.0, 0.8, "stopped_early", "came in the last quarter): train longer"),
    ],
)
def test_losses_that_still_fall_are_a_fault_unless_the_schedule_is_over_and_the_target_reached(
    last_rate: float, target: float, verdict: str, reason: str
) -> None:
    rates = np.linspace(1.0, last_rate, len(FALLING)).tolist()
    rows = [
        {**row, "learning_rate": rate}
        for row, rate in zip(table(FALLING, [0.85]), rates, strict=True)
    ]
    diagnosis = diagnose(rows, target=target)
    assert (diagnosis.verdict, reason in diagnosis.sentence) == (verdict, True), diagnosis.sentence


LOSS, ACCURACY = st.floats(0, 1e6), st.floats(0, 1)


@given(
    st.lists(st.tuples(LOSS, ACCURACY, LOSS, ACCURACY), min_size=1, max_size=12),
    st.sampled_from([None, SOUND_DATA]),
)
def test_any_numbers_have_a_verdict(
    values: list[tuple[float, ...]], evidence: Evidence | None
) -> None:
    rows = [
        {"epoch": epoch, **dict(zip(learning_curves.MEASURES, row, strict=True))}
        for epoch, row in enumerate(values, 1)
    ]
    diagnosis = diagnose(rows, evidence)
    assert 1 <= diagnosis.epoch <= len(rows)
    assert diagnosis.verdict in REMEDIES
    assert np.isfinite(list(diagnosis.numbers.values())).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("measure", learning_curves.MEASURES)
def test_a_value_that_is_not_finite_is_reported_with_its_epoch(measure: str, value: float) -> None:
    rows = table(FALLEN, [0.99])
    rows[6][measure] = value
    diagnosis = diagnose(rows, SOUND_DATA)
    assert (diagnosis.verdict, diagnosis.epoch) == ("diverged", 7)
    name = measure.replace("train_", "training_").replace("_", " ")
    assert f"{name} is NaN or infinite at epoch 7" in diagnosis.sentence
