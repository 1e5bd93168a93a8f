"""What trains several models compares the errors of those that give a number."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pipeline.config import params
from pipeline.process.errors import UserError
from pipeline.search import batch_size, cached_training, folds, group_folds
from pipeline.search.analysis import Analysis, AnalysisOptions
from tests.conftest import EDGEPROOF, OWN_PROBLEM, Project
from tests.number.conftest import UNIT
from tests.search.conftest import inside

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

# How far a picture is from grey, which no straight line tells
DISTANCES = {
    **OWN_PROBLEM,
    **UNIT,
    "problem.target": 0.001,
    "dataset.name": "npz",
    "dataset.path": "own.npz",
    "preprocess.subset": None,
    "train.architecture": "mlp",
    "train.network.hidden": [16],
    "train.augmentation": [],
    "train.loss": "MeanSquaredError",
    "train.learning_rate": 0.02,
    "train.schedule": "constant",
    "train.epochs": 20,
    "train.batch_size": 16,
}


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """A project with its raw data and a training that takes a second or two."""
    project = Project(tmp_path_factory.mktemp("grey"), mirror).begin()
    random = np.random.default_rng(0)
    levels = random.uniform(0, 250, 400)
    images = np.clip(levels[:, None, None] + random.normal(0, 5, (400, 4, 4)), 0, 255)
    labels = np.abs(levels - 125) / 10
    np.savez(
        project.folder / "own.npz",
        x_train=images.astype(np.uint8),
        y_train=labels,
        class_names=["distance"],
    )
    project.change(DISTANCES)
    project.run(sys.executable, "-m", "pipeline.download")
    return project


@pytest.fixture
def here(grey: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from inside(grey, monkeypatch)


def speaks_of_errors(text: str) -> bool:
    shares = re.sub(r"\b9?5 %", "", text)  # of intervals and tests
    return "degrees" in text and "accuracy" not in text and "%" not in shares


def test_folds_give_the_error_of_held_out_examples_and_compare_it_with_the_baseline(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trainings run in this process, and the command reads all of them."""
    analysis = Analysis("folds", AnalysisOptions(), folds=3)
    todo = folds.trainings(analysis, 3)
    for training in todo:
        training.run()
    capsys.readouterr()
    folds.cross_validate(3, AnalysisOptions())
    shown, page = capsys.readouterr().out, (here / "reports/folds.md").read_text()
    raw = np.load(here / "data/raw/train/labels.npy")
    errors = np.concatenate(
        [np.abs(part.probabilities()[:, 0] - raw[part.predicted_rows]) for part in todo]
    )
    baselines = folds.baselines(todo, analysis.params)
    others = np.concatenate([part.errors for part in baselines])  # type: ignore[attr-defined]
    assert len(errors) == len(others) == 320
    assert f"error of the recipe is {errors.mean():.4g} degrees (95 % interval" in shown
    assert f"That of the baseline on the same examples is {others.mean():.4g} degrees" in shown
    assert errors.mean() < 0.7 * others.mean()
    p_value = float(re.search(r"significantly more \(p = ([\d.e-]+)\)", shown)[1])  # type: ignore[index]
    assert stats.ttest_rel(errors, others).pvalue <= p_value < 0.05
    assert speaks_of_errors(page)
    assert "| mean | " in page
    assert (here / "reports/folds.png").stat().st_size > 10_000


def test_folds_by_group_refuse_a_number_before_they_train(here: Path) -> None:
    with pytest.raises(UserError, match="unit is degrees, so the model gives a number, and this"):
        group_folds.cross_validate(None, AnalysisOptions())


def test_more_folds_than_half_of_the_examples_are_refused(here: Path) -> None:
    with pytest.raises(UserError, match=r"--folds is 300; expected 2 to \d+, half of the examples"):
        folds.trainings(Analysis("folds", AnalysisOptions()), 300)


def test_the_best_trial_of_a_sweep_has_the_smallest_error(grey: Project, here: Path) -> None:
    values = "train.learning_rate=0.0001,0.02"
    shown = grey.run(
        *EDGEPROOF, "sweep", values, "train.epochs=4,8", "--sampler", "grid", "--prune", "none"
    )
    each = [float(value) for value in re.findall(r"validation error (\d+\.\d{4})", shown)]
    assert len(each) == 4
    page = (here / "reports/sweep.md").read_text()
    best = re.search(r"a validation error of ([\d.]+) degrees \(95 % interval ([\d.]+) to", page)
    assert best is not None
    assert float(best[1]) == pytest.approx(min(each), abs=0.001)
    assert float(best[2]) < min(each)
    assert "is train.learning_rate=0.02, " in page
    column = re.findall(r"\| ([\d.]+) degrees \|[^|]+\| [48] \| complete", page)
    assert [float(value) for value in column] == pytest.approx(sorted(each), abs=0.01)
    assert speaks_of_errors(page.split("![]")[0])
    assert (here / "reports/sweep.png").stat().st_size > 10_000


def test_batch_sizes_are_compared_by_the_error(grey: Project, here: Path) -> None:
    todo = batch_size.trainings(Analysis("batch_size", AnalysisOptions()), [16, 288], 2, "none")
    results = [training.run() for training in todo]
    means = [np.mean([result.score for result in part]) for part in (results[:2], results[2:])]
    assert means[0] < means[1]
    shown = grey.run(*EDGEPROOF, "batch-size", "--sizes", "16,288", "--seeds", "2")
    assert "4 of 4 trainings already done" in shown
    page = (here / "reports/batch_size.md").read_text()
    assert f"of 16 reach the best validation error, {means[0]:.4g} degrees as the mean of" in page
    assert speaks_of_errors(page)


def test_a_learning_rate_is_found_for_a_number(grey: Project, here: Path) -> None:
    shown = grey.run(*EDGEPROOF, "learning-rate", "--steps", "60")
    assert "The loss is lowest at a learning rate of" in shown


def test_the_loop_improves_a_model_that_gives_a_number(grey: Project) -> None:
    grey.commit()
    shown = grey.run(
        *EDGEPROOF,
        "improve",
        "--budget",
        "2",
        "-S",
        "train.network.hidden=[1]",
        "-S",
        "train.epochs=5",
    )
    assert "step 2 of at most 2" in shown
    assert len(re.findall(r"validation mean absolute error [\d.]+ degrees, ", shown)) == 3
    ledger = (grey.folder / "reports/improvement.md").read_text()
    assert "## 1. Start" in ledger
    assert re.search(r"Validation mean absolute error \*\*[\d.]+ degrees\*\* on \d+ ex", ledger)
    assert re.search(r"[+-][\d.e-]+ degrees against the best so far, pair by pair: p = ", ledger)
    assert "for the squared error" in ledger


def test_numbers_without_a_unit_are_refused_before_anything_is_trained(
    grey: Project, here: Path
) -> None:
    without = params.override(params.load(), {"problem.unit": None, "problem.max_error": 0.01})
    with pytest.raises(UserError, match="unit is null, and npz asks for a number; expected its"):
        cached_training.split_rows(without)
