"""`edgeproof shrink --metric`: by what networks are compared, and with which interval."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from pipeline.config import params
from pipeline.files import artifacts, raw
from pipeline.planning.cost import NetworkFiles, Shape
from pipeline.reporting import metrics
from pipeline.reporting.metrics import Judged
from pipeline.search import (
    cached_training,
    shrink_report,
    shrink_score,
    shrink_space,
    shrink_worker,
    sweep_report,
)
from pipeline.search.analysis import Analysis, AnalysisOptions
from pipeline.search.shrink_space import Budget, Shrink
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.search.conftest import analysis

START = params.load(ROOT / "params.yaml")
FILES = NetworkFiles(1, 1, 9000, micro_arena_bytes=1, micro_flash_bytes=1, refused=None)
LABELS = np.repeat([0, 1], [90, 10])


def networks(metric: str, keep: str = "validation_loss") -> Shrink:
    start = START.model_copy(update={"train": START.train.model_copy(update={"keep": keep})})
    return Shrink(
        title="shrink",
        storage="sqlite:///studies.db",
        space=shrink_space.space(START.train, "pixels", 16_000),
        sampler="tpe",
        pruner="none",
        start=start,
        trials=3,
        seconds=20,
        alone=True,
        budget=Budget(16_000, None, None),
        shape=Shape((28, 28, 1), 2),
        card_bytes=0,
        begin={},
        metric=metric,
    )


def trained(study: optuna.Study, accuracy: float, macro_f1: float | None) -> optuna.Trial:
    """A trial of two epochs; `macro_f1` is that of both, if train.keep looks at it."""
    trial = study.ask()
    row = {"epoch": 1.0, "validation_accuracy": accuracy, "validation_loss": 0.1}
    if macro_f1 is not None:
        row["validation_macro_f1"] = macro_f1
    result = {"key": "", "rows": [row, row], "kept": 2, "validation_examples": 100}
    trial.set_user_attr("result", result)
    trial.set_user_attr("files", vars(FILES))
    return trial


def frozen(study: optuna.Study, trial: optuna.Trial) -> Any:
    return study.get_trials()[trial.number]


def test_a_network_is_compared_by_its_answers_with_the_interval_of_the_metric() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    trial = trained(study, 0.9, None)
    answers = np.where(np.arange(100) < 95, 0, LABELS)  # half of the rare class is missed
    judged = Judged("balanced_accuracy", answers, LABELS, 2)
    shrink_score.begin(trial, "balanced_accuracy")
    assert shrink_score.save(trial, judged) == 0.75
    kept = frozen(study, trial)
    assert shrink_score.value(kept) == 0.75
    expected = metrics.interval("balanced_accuracy", answers, LABELS, 2)
    assert shrink_score.interval_of(kept) == pytest.approx(expected)
    assert expected != pytest.approx(sweep_report.interval_of(kept), abs=0.05)
    assert shrink_report.columns("balanced_accuracy")[2] == "validation balanced accuracy"


def test_a_network_that_was_stopped_has_the_metric_of_its_best_epoch_and_no_interval() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    by_f1, by_accuracy = trained(study, 0.9, 0.6), trained(study, 0.9, 0.6)
    shrink_score.begin(by_f1, "macro_f1")
    shrink_score.begin(by_accuracy, "accuracy")
    stopped = frozen(study, by_f1)
    assert shrink_score.value(stopped) == 0.6
    assert shrink_score.interval_of(stopped) is None
    assert shrink_report.bounds(stopped) == ""
    assert shrink_score.value(frozen(study, by_accuracy)) == 0.9
    assert shrink_score.interval_of(frozen(study, by_accuracy)) is not None


def test_a_training_is_stopped_by_the_metric_that_counts() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for macro_f1 in (0.5, 0.6, 0.7):
        trial = trained(study, 0.9, macro_f1)
        shrink_score.begin(trial, "macro_f1")
        study.tell(trial, [macro_f1, 9000])

    def stopped(macro_f1: float) -> bool:
        row = {"validation_accuracy": 0.1, "validation_macro_f1": macro_f1}
        return shrink_worker.is_hopeless(row, 0.5, FILES, study)

    assert stopped(0.59)
    assert not stopped(0.61)


def test_the_report_says_how_another_metric_is_judged() -> None:
    assert shrink_report.on_the_metric(networks("accuracy")) == []
    (kept,) = shrink_report.on_the_metric(networks("macro_f1", "validation_macro_f1"))
    assert "Zou, Huang and Zhang" in kept
    assert "ended early" not in kept
    (other,) = shrink_report.on_the_metric(networks("macro_f1"))
    assert other.endswith(
        "No training ended early: train.keep is validation_loss, so the macro F1 of an epoch is "
        "not known."
    )


def test_the_metric_is_that_of_params_yaml_unless_the_user_names_another(
    here: Path, tiny: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    by_accuracy = analysis("shrink")
    assert by_accuracy.metric == "accuracy"
    tiny.change({"problem.metric": "macro_f1"})
    try:
        by_f1 = analysis("shrink")
        named = Analysis("shrink", AnalysisOptions(metric="balanced_accuracy"))
    finally:
        tiny.change({"problem.metric": "accuracy"})
    assert (by_f1.metric, named.metric) == ("macro_f1", "balanced_accuracy")
    # Trials that are compared by another metric are those of another study.
    assert len({by_accuracy.title, by_f1.title, named.title}) == 3
    notes = capsys.readouterr().out.splitlines()
    assert notes == [
        "note: This compares balanced accuracy, and problem.metric is macro_f1; `edgeproof "
        "improve` compares by it."
    ]


def test_a_metric_of_another_name_is_refused(tiny: Project) -> None:
    failed = tiny.attempt(*EDGEPROOF, "shrink", "--bytes", "9000", "--metric", "f1")
    assert failed.returncode != 0
    assert "macro_f1" in failed.stderr


@pytest.mark.slow
@pytest.mark.long
def test_a_search_by_macro_f1_finds_the_best_by_its_answers(here: Path, tiny: Project) -> None:
    tiny.change({"problem.metric": "macro_f1", "train.keep": "validation_macro_f1"})
    try:
        printed = tiny.run(*EDGEPROOF, "shrink", "--bytes", "10500", "--trials", "2")
        settings = params.load()
        rows = cached_training.split_rows(settings)[1]
    finally:
        tiny.change({"problem.metric": "accuracy", "train.keep": START.train.keep})
    assert "This compares" not in printed
    assert len(re.findall(r"validation macro F1 0\.\d{4}, [\d,]+ bytes", printed)) == 2
    page = (here / "reports/shrink.md").read_text(encoding="utf-8")
    assert "| validation macro F1 |" in page
    assert "has a validation macro F1 of" in page
    assert "ended early: train.keep" not in page
    title = re.search(r"# (shrink-\w+)", page)
    assert title is not None
    study = optuna.load_study(study_name=title[1], storage=f"sqlite:///{here}/.state/studies.db")
    complete = sweep_report.complete(study.get_trials())
    assert len(complete) == 2
    for trial in complete:
        key = trial.user_attrs["result"]["key"]
        outputs = artifacts.load_array(cached_training.FOLDER / f"{key}.npy")
        answers, labels = outputs.argmax(1), raw.rows(rows)[1]
        expected = metrics.judged("macro_f1", answers, labels, raw.description())
        assert trial.values[0] == pytest.approx(expected.value)
        assert shrink_score.interval_of(trial) == pytest.approx(expected.interval)
        last = trial.user_attrs["result"]["rows"][-1]
        assert last["validation_macro_f1"] == pytest.approx(expected.value, abs=1e-5)
