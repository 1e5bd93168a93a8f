"""The diagnosis: on a corpus of real trainings with known faults, and on made-up curves."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.diagnosis import judge
from pipeline.datasets import Raw
from pipeline.diagnosis.rules import diagnose
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.reports.preprocess import Evidence
from pipeline.inputs import pixels
from pipeline.process.words import percent
from pipeline.search.remedies import REMEDIES
from pipeline.training import learning_curves
from tests import reports
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def reported() -> list[judge.Pair]:
    return list(judge.judged(judge.REPORTED_ON).values())


def test_every_verdict_has_a_high_precision_and_recall(reported: list[judge.Pair]) -> None:
    for verdict, (count, precision, recall) in judge.figures(reported).items():
        assert count >= 5
        assert precision >= 0.95, verdict
        assert recall >= 0.95, verdict


def test_healthy_trainings_raise_no_alarm(reported: list[judge.Pair]) -> None:
    verdicts = [actual for expected, actual in reported if expected == judge.HEALTHY]
    assert len(verdicts) >= 150  # with fewer, even no alarm at all would not prove 2 %
    assert sum(verdict != judge.HEALTHY for verdict in verdicts) <= 0.02 * len(verdicts)


def test_the_report_gives_the_bounds_that_the_number_of_trainings_proves(
    reported: list[judge.Pair],
) -> None:
    report = judge.report(reported)
    assert "0 of 175, which proves that at most 1.7 % of" in report  # 1 - 0.05 ** (1 / 175)
    row = "| 2 diverged |  | 5 |  |  |  |  |  |  |  |  |  | 1.00 | 1.00 | 0.55 |"
    assert row in report  # 0.05 ** (1 / 5)


def test_the_confusion_matrix_in_the_readme_is_that_of_the_corpus(
    reported: list[judge.Pair],
) -> None:
    assert judge.report(reported) in judge.PAGE.read_text(encoding="utf-8")


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


SOUND_DATA = Evidence(5000, 2000, 0.0, 1.0, 0.5, 1.0)


def table(
    train_loss: list[float],
    train_accuracy: list[float],
    validation_loss: list[float] | None = None,
    validation_accuracy: list[float] | None = None,
) -> list[learning_curves.Row]:
    """Learning curves; columns repeat their last value, and validation defaults to training."""
    columns = (
        train_loss,
        train_accuracy,
        validation_loss or train_loss,
        validation_accuracy or train_accuracy,
    )
    epochs = max(map(len, columns))
    filled = [[*column, *[column[-1]] * (epochs - len(column))] for column in columns]
    rows = zip(*filled, strict=True)
    return [
        {"epoch": epoch, **dict(zip(learning_curves.MEASURES, row, strict=True))}
        for epoch, row in enumerate(rows, 1)
    ]


FALLEN = [2.0, 1.0, 0.5, 0.3, 0.22, 0.2, 0.2, 0.2, 0.2, 0.2]
CONVERGED = [0.0200, 0.0202, 0.0198, 0.0199, 0.0196, 0.0197, 0.0195, 0.0196]


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


# images of three classes; with 400 the interval of an accuracy of 90 % is narrow enough
SMALL_VALIDATIONS = [24, 44, 48, 72, 100, 200, 400]
LEARNED_NOTHING = table(
    [1.0986, 1.0991, 1.0985, 1.0987, 1.0986, 1.0985, 1.0986, 1.0986], [0.335, 0.33, 0.34, 0.335]
)
OVERFITTED = table(
    [1.0, 0.6, 0.35, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.008],
    [0.5, 0.7, 0.85, 0.93, 0.97, 0.99, 0.995, 0.999],
    [1.0, 0.75, 0.62, 0.6, 0.66, 0.75, 0.86, 0.95, 1.05, 1.15],
    [0.5, 0.62, 0.7, 0.72, 0.71, 0.7],
)
SOUND = table(
    [1.0, 0.6, 0.4, 0.32, 0.29, 0.28, 0.28, 0.279, 0.28, 0.28],
    [0.5, 0.7, 0.85, 0.9, 0.91],
    None,
    [0.5, 0.7, 0.84, 0.9],
)


@pytest.mark.parametrize(
    ("rows", "verdict", "images"),
    [
        *((LEARNED_NOTHING, "vanishing_gradients", images) for images in SMALL_VALIDATIONS),
        *((OVERFITTED, "overfit", images) for images in SMALL_VALIDATIONS),
        *((SOUND, "good_fit", images) for images in SMALL_VALIDATIONS[:-1]),
    ],
)
def test_a_small_validation_is_a_note_on_the_verdict(
    rows: list[learning_curves.Row], verdict: str, images: int
) -> None:
    diagnosis = diagnose(rows, Evidence(4 * images, images, 0.0, 1.0, 0.5, 1.0))
    assert diagnosis.verdict == verdict
    low, high = diagnosis.numbers["interval_low"], diagnosis.numbers["interval_high"]
    note = (
        f"; note that validation is small: the accuracy of its {images} examples may lie anywhere "
        f"from {percent(low, 1)} to {percent(high, 1)}; "
    )
    assert diagnosis.sentence.startswith(diagnose(rows, SOUND_DATA).sentence + note)


def test_a_large_validation_gets_no_note() -> None:
    assert "validation is" not in diagnose(SOUND, SOUND_DATA).sentence


def parts(raw: Raw, train: int = 2000, validation: int = 500) -> tuple[Array, Array]:
    # shuffled, because MNIST is grouped by writer
    rows = np.random.default_rng(0).permutation(len(raw.train_labels))
    return raw.train_images[rows[:train]], raw.train_images[rows[train : train + validation]]


def test_copies_in_validation_are_found_even_with_noise_on_them(raw_mnist: Raw) -> None:
    train, validation = parts(raw_mnist)
    rng = np.random.default_rng(0)
    noisy = (train[:100] + rng.normal(0, 8, (100, 28, 28, 1))).clip(0, 255).astype(np.uint8)
    evidence = pixels.evidence(train, np.concatenate([noisy, validation[100:]]))
    assert evidence.copied == pytest.approx(0.2, abs=0.03)
    assert evidence.copied_p_value < 1e-10
    assert pixels.evidence(train, validation).copied_p_value > 1e-3


def test_validation_from_another_camera_is_recognized(raw_mnist: Raw) -> None:
    train, validation = parts(raw_mnist)
    assert pixels.evidence(train, (validation * 0.6).astype(np.uint8)).told_apart > 0.9
    assert pixels.evidence(train, validation).told_apart_p_value > 1e-3


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "diagnose", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_any_learning_curves_are_diagnosed_by_hand(tmp_path: Path) -> None:
    curves = next((judge.FOLDER / "corpus/too_much_capacity").glob("*.csv"))
    alone = tmp_path / "learning_curves.csv"
    alone.write_bytes(curves.read_bytes())
    done = command(str(alone), "--target", "0.9", "--picture", str(tmp_path / "curves.png"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("overfit (from epoch ")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1000, 450)
    mistyped = command(str(tmp_path / "learning_curve.csv"))
    cure = "name a file such as learning_curves.csv, which `train` writes"
    assert mistyped.stderr == f"error: {tmp_path}/learning_curve.csv is not a file; {cure}\n"


def save(path: Path, rows: list[learning_curves.Row]) -> None:
    columns = ("epoch", *learning_curves.MEASURES, "learning_rate", *learning_curves.TIMES)
    defaults = dict.fromkeys(columns, 1.0)
    learning_curves.save(path, [{**defaults, **row} for row in rows])


@pytest.mark.parametrize(
    "foreign", ["[]", '{"layers_at_start": 3, "evidence": {"rows": 1}}', "no JSON"]
)
def test_another_programs_reports_beside_the_curves_are_ignored(
    tmp_path: Path, foreign: str
) -> None:
    path = tmp_path / "history.csv"
    save(path, table(FALLEN, [0.99]))
    for name in ("train", "preprocess"):
        (tmp_path / f"{name}.json").write_text(foreign)
    assert reports.diagnosed(path, 0.9).verdict == "good_fit"


def test_a_trained_model_that_is_confident_has_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "learning_curves.csv"
    save(path, table(CONVERGED, [0.98]))
    layers = {"dead_units": 0.0, "saturated_units": 0.96, "gradient_ratio": 8.3}
    report = reports.training(layers_at_start=layers)
    report.save(tmp_path / "train.json")
    assert reports.diagnosed(path, 0.99).verdict == "saturated_units"
    report.changed(trained_before=True).save(tmp_path / "train.json")
    assert reports.diagnosed(path, 0.98).verdict == "good_fit"
    assert reports.diagnosed(path, 0.99).verdict == "too_little_capacity"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("epoch,loss\n1,0.5\n", "has no train_loss"),
        ("epoch,train_loss\n1,much\n", "has no validation_loss"),
        ("", "has no epoch"),
    ],
)
def test_a_file_that_is_not_a_learning_curve_is_refused_in_one_sentence(
    tmp_path: Path, content: str, reason: str
) -> None:
    (tmp_path / "curves.csv").write_text(content)
    done = command(str(tmp_path / "curves.csv"))
    assert done.returncode == 1
    assert reason in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_injected_fault_is_recognized(tmp_path: Path) -> None:
    from benchmarks.diagnosis import cases, faults

    path = tmp_path / "dead_relus" / "mnist-0.csv"
    faults.make("dead_relus", "mnist", 0, path)
    with path.open() as file:
        assert len(list(csv.reader(file))) == 1 + cases.CASES["dead_relus"][0].epochs
    layers = artifacts.load_json(path.with_suffix(".json"))["layers"]
    assert layers["dead_units"] == 1.0
    assert diagnose(learning_curves.load(path), None, layers).verdict == "dead_units"
