"""The diagnosis on a corpus of real trainings with known faults."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.diagnosis import judge
from pipeline.diagnosis.rules import diagnose
from pipeline.files import artifacts
from pipeline.training import learning_curves


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
