"""The worked examples of the lectures: files, statistics, real trainings, and the page."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from lectures import comparison, example, outcome, page, ridge
from lectures.example import Example, Order, Variation
from lectures.outcome import Outcome
from pipeline.process.errors import UserError
from pipeline.search.engine import Engine
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.waiting import SECONDS, Hold

pytestmark = pytest.mark.long

SMALL = """
title: A small example
lecture: L2
question: Does it run?
picture: losses
seeds: 2
settings: {dataset.name: mnist, train.network.hidden: [16]}
measures: [verdict]
variations:
  - name: Adam
    settings: {train.optimizer: Adam, train.learning_rate: 0.001}
    published: {undivided_test_accuracy: 0.5, parameters: 12730}
  - name: SGD
"""


@pytest.mark.parametrize("name", example.names())
def test_every_example_can_be_read_and_its_variations_are_values_of_params_yaml(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    loaded = example.load(name)
    for variation in loaded.variations:
        if loaded.kind in ("training", "initialization"):
            assert loaded.params(variation, quick=False).train.epochs >= 1


def test_there_is_a_file_for_each_worked_example_but_deployment() -> None:
    assert example.names() == [f"S{number}" for number in range(1, 14)]


def written(monkeypatch: pytest.MonkeyPatch, folder: Path, content: str) -> Example:
    (folder / "S1.yaml").write_text(content, encoding="utf-8")
    (folder / "plain.yaml").write_text("train.warmup: 0.0\n", encoding="utf-8")
    monkeypatch.setattr(example, "FOLDER", folder)
    monkeypatch.chdir(ROOT)
    return example.load("S1")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (SMALL.replace("seeds: 2", "sedes: 2"), "sedes is not a known key; expected one of title"),
        (SMALL.replace("seeds: 2", "seeds: 0"), "seeds is 0; expected an integer of at least 1"),
        (SMALL.replace("question: Does it run?", ""), "question is missing"),
        (
            SMALL + "    published: {loss_gap: {below: RMSprop}}",
            "loss_gap is compared with 'RMSprop'; expected one of Adam, SGD",
        ),
        (SMALL.replace("name: SGD", "name: Adam"), "two variations have the same name"),
        (SMALL + "  - {", "is not valid YAML"),
    ],
)
def test_a_wrong_example_is_refused_in_a_sentence(
    wrong: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=sentence):
        written(monkeypatch, tmp_path, wrong)


def test_an_unknown_setting_is_reported_with_its_variation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistaken = written(monkeypatch, tmp_path, SMALL.replace("train.optimizer", "train.optimiser"))
    with pytest.raises(UserError, match=r"variation 'Adam': train.optimiser is not a known key"):
        mistaken.params(mistaken.variations[0], quick=False)


def met(
    published: example.Published,
    values: list[float],
    other: tuple[float, ...] = (1.0, 1.1, 0.9),
    places: int | None = None,
) -> str:
    variation = Variation(name="ours", published={"loss": published})
    by_name = {
        "ours": Outcome("ours", {"loss": list(values)}),
        "other": Outcome("other", {"loss": list(other)}),
    }
    lecture = Example(
        title="",
        lecture="",
        question="",
        picture="figures",
        variations=[variation],
        seeds=len(values),
        places=places,
    )
    return comparison.row(lecture, variation, "loss", by_name).met


def test_a_figure_is_met_within_what_one_more_run_may_give_and_the_rounding() -> None:
    # Five runs with a standard deviation of 0.1. The interval of one more run is
    # 2.776 * 0.1 * sqrt(1.2) = 0.304 to either side.
    values = [0.9, 1.0, 1.1, 1.0 - 0.1 * np.sqrt(1), 1.0 + 0.1 * np.sqrt(1)]
    assert np.std(values, ddof=1) == pytest.approx(0.1)
    assert met(1.30, values) == met(0.70, values) == "yes"
    assert met(1.3551, values) == "no, ours is lower"
    assert met(0.6449, values) == "no, ours is higher"
    assert met(0.81, [0.8146]) == "yes"
    assert met(0.81, [0.8151]) == "no, ours is higher"
    assert met(0.6, [0.591]) == "yes"
    assert met(0.6, [0.591], places=2) == "no, ours is lower"
    assert met(0.81, [0.80, 0.82]) == "open, too few seeds"
    assert met(266610.0, [266611.0]) == "no, ours is higher"


def test_an_order_of_two_variations_is_met_if_it_is_significant() -> None:
    assert met(Order(below="other"), [0.1, 0.2, 0.15]) == "yes"
    assert met(Order(below="other"), [0.9, 1.1, 0.8]) == "no, not significant"
    assert met(Order(above="other"), [0.1, 0.2, 0.15]) == "no, the reverse"
    assert met(Order(above="other"), [3.0, 3.0, 3.0], (2.0, 2.0, 2.0)) == "yes"
    assert met(Order(above="other"), [2.0, 2.0, 2.0], (2.0, 2.0, 2.0)) != "yes"


def test_ridge_in_closed_form_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import Ridge

    setting = ridge.Setting(degree=5, examples=30, range=1.5, noise=0.5, penalty=0.3)
    x, y = ridge.drawn(setting, 30, np.random.default_rng(0))
    theirs = Ridge(alpha=0.3, fit_intercept=False).fit(x, y).coef_
    assert ridge.solved(x, y, 0.3) == pytest.approx(theirs)


def test_the_best_penalty_has_smaller_weights_and_a_smaller_error() -> None:
    outcomes, _ = ridge.outcomes(example.load("S5"), Engine(), quick=False)
    without, best = (outcome.figures for outcome in outcomes[:2])
    assert np.mean(np.array(best["test_error"], float)) < np.mean(
        np.array(without["test_error"], float)
    )
    assert np.mean(np.array(best["largest_weight"], float)) < np.mean(
        np.array(without["largest_weight"], float)
    )


def test_the_page_is_what_the_results_generate() -> None:
    examples = {name: example.load(name) for name in example.names()}
    results = {name: outcome.load(example.FOLDER / "results" / f"{name}.json") for name in examples}
    assert page.PAGE.read_text(encoding="utf-8") == page.text(examples, results)
    for name, result in results.items():
        assert (example.FOLDER / "results" / f"{name}.png").exists() == (result is not None)


def test_every_result_belongs_to_its_example_as_it_stands() -> None:
    for name in example.names():
        lecture, results = (
            example.load(name),
            outcome.load(example.FOLDER / "results" / f"{name}.json"),
        )
        if results:
            assert results.example == lecture.digest(), (
                f"{name} has changed since it was run: edgeproof lectures {name}"
            )
            assert [measured.name for measured in results.outcomes] == [
                variation.name for variation in lecture.variations
            ], name
            for measured, variation in zip(results.outcomes, lecture.variations, strict=True):
                assert set(lecture.shown(variation)) <= set(measured.figures), (
                    f"{name}: {measured.name}"
                )
                assert all(
                    len(values) == (variation.seeds or lecture.seeds)
                    for values in measured.figures.values()
                ), f"{name}: {measured.name}"


@pytest.mark.slow
def test_an_example_resumes_after_ctrl_c_and_runs_again_without_training_to_the_same_bytes(
    project: Project, tmp_path: Path
) -> None:
    (project.folder / "lectures/S99.yaml").write_text(SMALL, encoding="utf-8")
    before = (project.folder / "lectures/README.md").read_bytes()
    trained, made = (
        project.folder / ".state/lectures/trainings",
        project.folder / ".state/lectures/quick",
    )
    # Each of the two workers is held in its second training, so that two are left.
    hold = Hold(tmp_path / "hold", f"{trained}/*/checkpoint.json", times=2)
    command = (*EDGEPROOF, "lectures", "S99", "--quick", "--workers", "2")
    interrupted = project.start(*command, **hold.environment)
    hold.wait(interrupted, count=2)
    os.killpg(interrupted.pid, signal.SIGINT)
    assert interrupted.wait(SECONDS) == 130
    assert not list(made.glob("S99.*"))
    finished = {path: path.stat().st_mtime_ns for path in trained.glob("*.json")}
    output = project.run(*EDGEPROOF, "lectures", "S99", "S1", "--quick", "--workers", "2")
    assert len(finished) == 2
    assert "2 of 4 trainings already done" in output
    assert "(2 of 2)" in output
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    first = {path.name: path.read_bytes() for path in made.iterdir()}
    assert set(first) == {"S99.json", "S99.png", "S1.json", "S1.png"}
    again = project.run(*EDGEPROOF, "lectures", "S99", "S1", "--quick")
    assert "4 of 4 trainings already done" in again
    assert {path.name: path.read_bytes() for path in made.iterdir()} == first
    assert (project.folder / "lectures/README.md").read_bytes() == before
    adam = json.loads(first["S99.json"])["outcomes"][0]["figures"]
    assert adam["parameters"] == [12730, 12730]
    assert adam["undivided_test_accuracy"] != adam["test_accuracy"]
    wrong = project.attempt(*EDGEPROOF, "lectures", "S77")
    assert wrong.returncode == 1
    assert (
        wrong.stderr.startswith("error: 'S77' is not an example; expected one of S1, S2")
        and "Traceback" not in wrong.stderr
    )


LIKED = """
title: Liked
lecture: L2
question: Does a user like a film?
picture: figures
seeds: 2
settings:
  dataset: {name: movielens_100k, test: 0.2}
  train.architecture: multi_hot
  train.network: {hidden: [8], activation: tanh}
measures: [test_accuracy, train_accuracy]
variations:
  - {name: as the line trains}
  - {name: as scikit-learn trains, kind: lbfgs, published: {train_accuracy: 1.0}}
"""


@pytest.mark.slow
def test_a_variation_may_be_of_another_kind_than_its_example(project: Project) -> None:
    (project.folder / "lectures/S98.yaml").write_text(LIKED, encoding="utf-8")
    project.run(*EDGEPROOF, "lectures", "S98", "--quick")
    made = json.loads((project.folder / ".state/lectures/quick/S98.json").read_text())
    line, lbfgs = (result["figures"] for result in made["outcomes"])
    assert (len(line["validation_loss"]), len(lbfgs["iterations"])) == (2, 2)
    assert (
        min(lbfgs["train_accuracy"]) > 0.9 > max(line["train_accuracy"])
    )  # it memorizes 1,000 ratings
    again = project.run(*EDGEPROOF, "lectures", "S98", "--quick")
    assert "2 of 2 trainings already done" in again
