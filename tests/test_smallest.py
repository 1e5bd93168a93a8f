"""`benchmarks.smallest`: its command trains what was measured, and its page says so."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from benchmarks import smallest
from benchmarks.smallest import GOALS, Goal, Measured, SeedScores
from pipeline.config import params
from tests.conftest import ROOT


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.name)
def test_the_command_of_a_goal_trains_what_was_measured(goal: Goal, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.yaml", tmp_path / "theirs.yaml"
    for path in (ours, theirs):
        shutil.copy(ROOT / "params.yaml", path)
    smallest.change(ours, goal.values)
    words = shlex.split(goal.command)
    apply_overrides(theirs, [word for word in words[3:] if word != "-S"])
    given, other = (params.parsed(path.read_text("utf-8"), path) for path in (ours, theirs))
    assert given == other
    assert given != params.load(ROOT / "params.yaml")


def test_the_page_has_the_mean_and_the_spread_and_the_most_bytes() -> None:
    goal = GOALS[0]
    seeds = [
        SeedScores(0.995, 0.996, 0.99, 900, 60, 70, 10),
        SeedScores(0.997, 0.996, 0.99, 950, 60, 70, 14),
    ]
    page = smallest.page({goal.name: Measured(goal.command, "a machine", seeds)})
    assert "Means of 2 seeds" in page
    assert "| 950 | 60 | 70 | 99.60 % | 0.14 | 99.50 to 99.70 % | 99.60 % | 99.00 % | 12 |" in page
    assert goal.command in page


@pytest.mark.slow
@pytest.mark.long
def test_a_seed_runs_to_the_integer_c_in_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {**GOALS[0].values, "preprocess.subset": 2000, "train.epochs": 2}
    result = smallest.run(values, 3, tmp_path / "copy")
    assert params.load(tmp_path / "copy" / "params.yaml").train.seed == 3
    assert 0.2 < result.accuracy < 1
    assert result.accuracy == pytest.approx(result.float_accuracy, abs=0.02)
    assert 0 < result.c_arena < result.micro_arena < GOALS[0].bytes
    assert result.bytes <= GOALS[0].bytes
    assert result.seconds > 1
