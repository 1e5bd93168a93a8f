"""Folds keep groups apart, and folds by group hold each out once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import download
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import raw
from pipeline.planning import survey
from pipeline.planning.parts import parts
from pipeline.process.errors import UserError
from pipeline.reporting import by_folds
from pipeline.reporting.measure import Measure
from pipeline.search import cached_training, folds, group_folds
from pipeline.search.analysis import Analysis, AnalysisOptions
from pipeline.search.announcement import announce
from pipeline.search.engine import Engine
from tests.groups.conftest import arrays


def test_folds_keep_groups_apart(cameras: Params) -> None:
    download.main()
    rows = np.concatenate(cached_training.split_rows(cameras))
    groups_found = raw.groups(cameras.preprocess.group)
    assert groups_found is not None
    members, labels = groups_found[rows], cached_training.strata()[rows]
    for train, validation in folds.split(labels, members, 4, 0):
        assert not set(members[train]) & set(members[validation])
    with pytest.raises(UserError, match="expected at most 4, the number of groups"):
        folds.split(labels, members, 5, 0)


def test_four_cameras_outside_the_test_set_are_judged_by_three_folds(cameras: Params) -> None:
    download.main()
    count = folds.number(cameras)
    assert count == 3
    each = folds.trainings(Analysis("folds", AnalysisOptions()), count)
    cameras_of = np.array(raw.group_names("train", cameras.preprocess.group))
    for training in each:
        parts = (training.rows, training.validation_rows, training.predicted_rows)
        sets = [set(cameras_of[rows]) for rows in parts]
        assert sum(map(len, sets)) == len(set.union(*sets)) == 4
    assert folds.number(params.override(cameras, {"preprocess.group": None})) == 5


def test_an_estimate_counts_the_groups_that_are_set(cameras: Params) -> None:
    data = survey.of_params(cameras)
    assert (data.group, data.groups, data.groups_of_class) == (r"(camera\d)", 5, 5)
    assert parts(data).folds == 3
    with pytest.raises(UserError, match="it does not match 80 of 80 files"):
        survey.of_params(params.override(cameras, {"preprocess.group": "phone"}))


def test_two_cameras_outside_the_test_set_are_too_few_for_folds(cameras: Params) -> None:
    """The same happens to four, if two with few photos are the test set."""
    for path in Path("photos").glob("*/camera[34]_*.png"):
        path.unlink()
    download.main()
    sentence = "2 groups outside the test set, and 2 with the rarest class, are too few for folds"
    with pytest.raises(UserError, match=f"{sentence}; add some, or set evaluate.folds to pipel"):
        folds.number(cameras)


def test_no_folds_are_proposed_of_uneven_groups_that_a_run_may_refuse(cameras: Params) -> None:
    for path in [*Path("photos").glob("*/camera[23]_[1-7].png"), *Path("photos").glob("*/*4_*")]:
        path.unlink()
    assert parts(survey.of_params(cameras)).folds == 0
    download.main()
    with pytest.raises(UserError, match=r"2 groups outside the test set, .* too few for folds"):
        folds.number(cameras)


@pytest.fixture
def people(cameras: Params, monkeypatch: pytest.MonkeyPatch) -> Analysis:
    """Folds by group of three people, one of whom has the labels of the other class."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nobody listens
    cached_training.data_digests.cache_clear()
    small = {"architecture": "mlp", "augmentation": [], "epochs": 30, "batch_size": 4}
    small |= {"keep": "last"}  # the best epoch for wrong labels is one that has learned nothing
    values = {f"train.{key}": value for key, value in small.items()}
    arrays(params.override(cameras, {**values, "train.network.hidden": [32]}))
    return Analysis("folds", AnalysisOptions(), by="group", folds=None)


def test_each_group_is_held_out_once_and_never_trained_on_then(people: Analysis) -> None:
    data = group_folds.examples(people)
    each = group_folds.trainings(people, data, None)
    assert [training.name for training in each] == ["without 0", "without 1", "without 2"]
    for person, training in enumerate(each):
        assert training.validation_rows.tolist() == list(range(8 * person, 8 * person + 8))
        assert sorted([*training.rows, *training.validation_rows]) == list(range(24))
    two = group_folds.trainings(people, data, 2)
    held_out = [set(data.names[training.validation_rows]) for training in two]
    assert [training.name for training in two] == ["fold 1 of 2", "fold 2 of 2"]
    assert held_out[0] | held_out[1] == {"0", "1", "2"}
    assert not held_out[0] & held_out[1]
    for count in (1, 4):
        with pytest.raises(UserError, match="expected 2 to 3, the number of groups"):
            group_folds.trainings(people, data, count)


def test_groups_that_share_a_copy_are_held_out_together() -> None:
    names, together = np.array(["a", "a", "b", "c", "", ""]), np.array([0, 0, 0, 1, 2, 1])
    data = group_folds.Examples(np.arange(6), names, together, np.zeros(6, int))
    assert [data.held_out(unit) for unit in data.units] == ["a + b", "c"]


def test_folds_by_group_need_groups(people: Analysis) -> None:
    without = Analysis("folds", AnalysisOptions(["preprocess.group=null"]))
    with pytest.raises(UserError, match=r"--by group needs groups, and preprocess\.group is null"):
        group_folds.examples(without)


def test_in_folds_of_groups_each_group_counts_the_same(people: Analysis) -> None:
    """Person 2 is half right, the others are all right; some rows have no group."""
    data = group_folds.examples(people)
    data = replace(data, names=np.where(np.arange(24) < 2, "", data.names))
    two = group_folds.trainings(people, data, 2)
    scores = group_folds.score(data, two, [part.validation_rows < 20 for part in two])
    assert {name: (score.right, score.images) for name, score in scores.items()} == {
        "2": (4, 8),
        "1": (8, 8),
        "0": (6, 6),
    }
    report = group_folds.report(data, two, scores)
    folds_of = [set(data.names[part.validation_rows]) - {""} for part in two]
    means = [float(np.mean([scores[name].accuracy for name in part])) for part in folds_of]
    assert report.figures["mean_group_accuracy"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert report.figures["interval_low"] == max(0, 2.5 / 3 - by_folds.half_width(means))
    assert report.table[-1][-1] == "18 of 22"
    assert report.notes[-1] == "2 examples have no group, and are in no row of the table."
    alone = replace(data, strata=np.where(data.together == data.together[-1], 1, 0))
    (note,) = [note for note in group_folds.report(alone, two, scores).notes if "While" in note]
    assert "no example of '1' is left to train on" in note


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_folds_by_group_find_the_person_whose_labels_are_wrong(
    people: Analysis, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trainings run in this process, and the command reads all of them."""
    data = group_folds.examples(people)
    each = group_folds.trainings(people, data, None)
    announce(each, Engine())
    assert capsys.readouterr().out == (
        "3 trainings of 30 epochs, each on 16 examples or more; how long they take is shown after "
        "the first two epochs\n"
    )
    results = [training.run() for training in each[:2]]
    right = [group_folds.right(training) for training in each[:2]]
    assert all(len(part) == 8 for part in right)
    assert [round(result.accuracy * 8) for result in results] == [part.sum() for part in right]
    announce(each, Engine())
    assert "1 training of 30 epochs" in capsys.readouterr().out
    each[2].run()
    group_folds.cross_validate(None, AnalysisOptions())
    shown = capsys.readouterr().out
    assert "3 of 3 trainings already done" in shown
    assert "The worst of 3 groups is '2': 0 of 8 examples are right" in shown
    page = Path("reports/folds.md").read_text()
    assert "| 2 | 0.00 % | 0.00 to 36.94 % | 0 of 8 |" in page
    accuracies = [result.accuracy for result in [training.run() for training in each]]
    low, high = by_folds.interval(accuracies, Measure("accuracy"))
    mean = f"{100 * np.mean(accuracies):.2f} %"
    assert f"| mean | {mean} | {100 * low:.2f} to {100 * high:.2f} % |" in page
    assert Path("reports/folds.png").stat().st_size > 10_000
