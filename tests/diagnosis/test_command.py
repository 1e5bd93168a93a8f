"""`edgeproof diagnose` on the learning curves of any program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.diagnosis import judge
from pipeline.training import learning_curves
from tests import reports
from tests.conftest import ROOT
from tests.diagnosis.conftest import CONVERGED, FALLEN, table


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
