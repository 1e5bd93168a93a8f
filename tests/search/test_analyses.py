"""The analyses: the rows that each trains on, and the report in which it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pipeline.config import params
from pipeline.files import raw
from pipeline.files.reports.folds import FOLDS, FoldsReport, recipe
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.reporting import by_folds, metrics
from pipeline.reporting.measure import Measure
from pipeline.search import batch_size, cached_training, data_size, folds, learning_rate
from pipeline.search.analysis import Analysis
from pipeline.search.cached_training import CachedTraining, TrainingResult
from pipeline.search.power_law import ErrorCurve, fit
from tests.conftest import EDGEPROOF, Project
from tests.search.conftest import analysis, children

pytestmark = pytest.mark.long


@pytest.mark.slow
def test_folds_are_children_of_one_run_and_are_not_trained_again(tiny: Project) -> None:
    command = [*EDGEPROOF, "folds", "--folds", "2"]
    first, second = tiny.run(*command), tiny.run(*command)
    assert "2 of 2 trainings already done" in second
    report = (tiny.folder / "reports/folds.md").read_text()
    sentence = re.search(r"\*\*(Over 2 folds .*)\*\*", report)
    assert sentence is not None
    assert sentence[1] in first and sentence[1] in second
    score = json.loads((tiny.folder / "reports/folds.json").read_text())["score"]
    assert (score["folds"], score["images"]) == (2, 600)
    assert f"{score['images']:,} examples that they never saw" in first
    assert (tiny.folder / "reports/folds.png").read_bytes().startswith(b"\x89PNG")
    title = report.splitlines()[0].removeprefix("# ")
    assert sorted(children(tiny.folder, title)) == [
        (f"fold {number} of 2", "FINISHED") for number in (1, 2)
    ]


@pytest.mark.slow
def test_folds_show_the_metric_by_which_they_compare_while_they_train(tiny: Project) -> None:
    tiny.change({"problem.metric": "macro_f1"})
    output = tiny.run(*EDGEPROOF, "folds", "--folds", "3")
    tiny.change({"problem.metric": "accuracy"})
    assert len(re.findall(r"fold \d of 3: macro F1 0\.\d{4}, loss", output)) == 3
    mean = re.search(r"the mean macro F1 is ([\d.]+) %", output)
    each = [float(value) for value in re.findall(r"macro F1 (0\.\d{4}), loss", output)]
    assert mean is not None
    assert float(mean[1]) == pytest.approx(100 * np.mean(each), abs=0.02)


def test_every_example_is_held_out_once_and_neither_trained_on_nor_validated_then(
    here: Path,
) -> None:
    trainings = folds.trainings(analysis("folds"), 4)
    rows = np.sort(np.concatenate(cached_training.split_rows(analysis("folds").params)))
    np.testing.assert_array_equal(
        np.sort(np.concatenate([training.predicted_rows for training in trainings])), rows
    )
    for training in trainings:
        np.testing.assert_array_equal(
            np.sort(
                np.concatenate([training.rows, training.validation_rows, training.predicted_rows])
            ),
            rows,
        )
        assert len(training.validation_rows) == 45  # a tenth of the rest, as in `preprocess`
        counts = np.bincount(cached_training.strata()[training.predicted_rows]) / np.bincount(
            cached_training.strata()[rows]
        )
        assert np.abs(counts - 0.25).max() < 0.03


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_folds_are_trained_again_only_if_the_recipe_is_another(
    here: Path, tiny: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = params.load()
    own = recipe(settings, raw.description())
    score = by_folds.score([metrics.by_accuracy(np.arange(10) < 9)] * 5)
    FoldsReport(recipe=own, score=score).save()
    folds.refresh(settings)
    assert capsys.readouterr().out == ""
    FoldsReport(recipe="another", score=score).save()
    for training in folds.trainings(analysis("folds"), FOLDS):
        training.run()
    folds.refresh(settings)
    assert "folds: they come first, as reports/folds.json" in capsys.readouterr().out
    report = FoldsReport.load()
    assert (report.recipe, report.score.images) == (own, 600)
    tiny.change({"problem.metric": "macro_f1"})
    folds.refresh(params.load())
    tiny.change({"problem.metric": "accuracy"})
    output = capsys.readouterr().out
    assert "Over 5 folds the mean macro F1 is" in output
    assert "This compares accuracy" not in output
    other = FoldsReport.load()
    assert (other.score.name, other.score.images) == ("macro_f1", 600)
    own_folds = analysis("folds")
    todo = folds.trainings(own_folds, FOLDS)
    parts = [training.judged(own_folds.params, "macro_f1") for training in todo]
    assert other.score.value == parts[0].joined(parts[1:]).value
    assert other.recipe != own


def test_the_interval_of_the_mean_allows_for_what_folds_share() -> None:
    low, high = by_folds.interval([0.90, 0.92, 0.91, 0.93, 0.89], Measure("accuracy"))
    half = 2.7764 * np.std([0.90, 0.92, 0.91, 0.93, 0.89], ddof=1) * np.sqrt(1 / 5 + 1 / 4)
    assert (low, high) == pytest.approx((0.91 - half, 0.91 + half), abs=1e-5)


ENDS: dict[ModuleType, tuple[list[str], str, Callable[[Analysis], list[CachedTraining]]]] = {
    data_size: (
        ["--sizes", "4", "--parts", "2"],
        "The smaller sizes predict",
        lambda analysis: data_size.trainings(analysis, 4, 2),
    ),
    learning_rate: (
        ["--steps", "60"],
        "The loss is lowest at",
        lambda analysis: [learning_rate.training(analysis, 1e-5, 1.0, 60)],
    ),
    batch_size: (
        ["--sizes", "30,90", "--seeds", "2"],
        "reach the best",
        lambda analysis: batch_size.trainings(analysis, [30, 90], 2, "none"),
    ),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("module", ENDS, ids=lambda module: module.__name__)
def test_an_analysis_ends_in_a_sentence_a_table_and_a_picture(
    here: Path, tiny: Project, module: ModuleType
) -> None:
    """The trainings run in this process, and the command reads all of them."""
    name = module.__name__.split(".")[-1]
    arguments, sentence, build = ENDS[module]
    count = len([training.run() for training in build(analysis(name))])
    shown = tiny.run(*EDGEPROOF, name.replace("_", "-"), *arguments)
    assert f"{count} of {counted(count, 'training')} already done" in shown
    report = (here / f"reports/{name}.md").read_text()
    assert sentence in shown
    assert sentence in report
    assert report.count("\n| ") > 3
    assert (here / f"reports/{name}.png").stat().st_size > 10_000
    assert len(children(here, report.splitlines()[0].removeprefix("# "))) == count


def test_the_parts_of_a_size_are_disjoint_and_balanced(here: Path) -> None:
    trainings = data_size.trainings(analysis("data_size"), 4, 4)
    assert sorted({len(training.rows) for training in trainings}) == [67, 135, 270, 540]
    parts = [training.rows for training in trainings if len(training.rows) == 135]
    assert len(np.unique(np.concatenate(parts))) == 4 * 135
    whole = np.bincount(cached_training.strata()[np.concatenate(parts)]) / 4
    counts = [np.bincount(cached_training.strata()[part]) for part in parts]
    assert max(np.abs(count - whole).max() for count in counts) <= 2
    largest = [training for training in trainings if len(training.rows) == 540]
    assert len({training.settings.seed for training in largest}) == 4


def test_a_power_law_is_found_and_its_absence_is_reported() -> None:
    rng = np.random.default_rng(0)
    sizes = np.repeat(1000 * 2 ** np.arange(6), 4).astype(float)
    noise = np.exp(rng.normal(0, 0.03, len(sizes)))
    law = fit(sizes, 3 * sizes**-0.4 * noise)
    low, high = law.exponent_interval()
    assert low < 0.4 < high
    assert high - low < 0.1
    ahead, least, most = (float(value[0]) for value in law.predict(np.array([64_000])))
    assert least < 3 * 64_000**-0.4 < most
    assert most / least < 1.2
    assert ErrorCurve(sizes, 3 * sizes**-0.4 * noise).holds
    stuck = ErrorCurve(
        sizes, np.maximum(3 * sizes**-0.4, 0.07) * noise
    )  # no data can remove the rest
    assert not stuck.holds
    assert "does not hold, and twice the data may bring less" in data_size.check_sentence(stuck)
    few = np.repeat([100.0, 200.0, 400.0, 800.0], 2)
    # Fewer examples are worse here, but that may be luck.
    noisy = ErrorCurve(few, np.array([0.10, 0.24, 0.22, 0.10, 0.19, 0.11, 0.08, 0.18]))
    assert noisy.mean(100) > noisy.mean(800)
    for curve in (noisy, ErrorCurve(sizes, 0.1 * noise)):
        sentence = data_size.sentence(curve)
        assert sentence.startswith("No effect of more data was shown")
        assert "{:.2f} to {:.2f}".format(*curve.law.exponent_interval()) in sentence
    assert ahead == pytest.approx(3 * 64_000**-0.4, rel=0.05)


def test_the_steepest_fall_comes_before_the_lowest_loss() -> None:
    rates = 1e-5 * 1e5 ** (np.arange(200) / 200)
    losses = 2.3 - 2 / (1 + np.exp(-4 * (np.log10(rates) + 3))) + 50 * np.maximum(rates - 0.03, 0)
    test = learning_rate.range_test(
        TrainingResult("key", [], 1, 10, losses.tolist()), 1e-5, 1.0, 200
    )
    assert test.steepest == pytest.approx(1e-3, rel=0.3)
    assert 0.005 < test.lowest < 0.06


@pytest.mark.parametrize("count", [1, 200])
def test_folds_must_fit_the_smallest_class(here: Path, count: int) -> None:
    with pytest.raises(UserError, match=r"expected 2 to 49, the size of the smallest class"):
        folds.trainings(analysis("folds"), count)


def test_sizes_that_leave_too_little_are_refused(here: Path) -> None:
    with pytest.raises(UserError, match=r"with 540 examples expected at most 4"):
        data_size.trainings(analysis("data_size"), 5, 2)
