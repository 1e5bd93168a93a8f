"""What is judged by the metric: the target, the baseline, each file and each sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.bundle import acceptance as bundle_acceptance
from pipeline.config import params
from pipeline.planning import kinds, problem, recipe, survey, training
from pipeline.process.errors import UserError
from pipeline.reporting import statistics, summary, terminal
from pipeline.reporting.result_row import ResultRow, cells
from pipeline.targets import _scores, check_metric
from serving import acceptance, gate, metric
from serving.commands import prove
from serving.comparison import Comparison, DeviceProof, MakersVerdict
from serving.model_file import Proof
from tests.conftest import ROOT
from tests.metric.conftest import LABELS, TWO, evaluated, outputs


def test_a_model_that_always_answers_the_large_class_misses_a_target_of_balanced_accuracy(
    here: Path,
) -> None:
    always = np.zeros(len(LABELS), int)
    report = evaluated(always, np.ones(len(LABELS), int), "balanced_accuracy", here)
    assert report.test_accuracy == 0.99
    assert report.score.value == 0.5
    assert not report.gate.target_reached
    (sentence,) = report.gate.failures["target"]
    assert sentence.startswith("test balanced accuracy 0.5000 is below problem.target 0.8")
    assert _scores.score_in_words(report).startswith("test balanced accuracy 0.5000 (95 % ")
    assert "macro F1 49.75 %; the worst recall is 0.00 %, of 'rare'" in _scores.remark(report)
    by_accuracy = evaluated(always, np.ones(len(LABELS), int), "accuracy", here)
    assert by_accuracy.gate.target_reached
    assert by_accuracy.metric is None


def test_the_baseline_is_compared_by_the_metric(here: Path) -> None:
    answers, majority = LABELS.copy(), np.zeros(len(LABELS), int)
    answers[:30] = 1  # wrong on more images than the baseline, but right on every rare one
    report = evaluated(answers, majority, "balanced_accuracy", here)
    assert report.gate.passed
    assert report.gate.baseline_p_value < 0.01
    (sentence,) = evaluated(majority, majority, "macro_f1", here).gate.failures["baseline"]
    assert sentence.startswith("the baseline has the same test macro F1, 0.4975")


def test_the_best_baseline_is_the_best_by_the_metric(here: Path) -> None:
    majority, even = np.zeros(len(LABELS), int), LABELS.copy()
    even[:100] = 1
    by_accuracy, by_recall = (
        [_scores.baseline_score(part, LABELS, TWO, name).goodness for part in (majority, even)]
        for name in ("accuracy", "balanced_accuracy")
    )
    assert by_accuracy[0] > by_accuracy[1]
    assert by_recall[0] < by_recall[1]


@pytest.mark.parametrize("target", ["labels", "number"])
def test_other_targets_refuse_the_metric_in_one_sentence(target: str) -> None:
    with pytest.raises(UserError, match=rf"problem.metric is macro_f1, .* asks for {target}; exp"):
        check_metric("macro_f1", target)


def test_a_number_refuses_the_metric_in_params() -> None:
    settings = params.load(ROOT / params.FILE)
    with pytest.raises(UserError, match="metric is macro_f1, but a number is judged by its mean"):
        params.override(settings, {"problem.unit": "degrees", "problem.metric": "macro_f1"})


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([], "not shown"),
        ([990], "not shown"),
        (list(range(990, 997)), "worse"),
        ([0, 1], "not shown"),
    ],
)
def test_a_file_is_judged_by_what_it_loses_of_the_metric(rows: list[int], verdict: str) -> None:
    answers = LABELS.copy()
    answers[rows] = 1 - answers[rows]
    pair = outputs(answers), outputs(LABELS)
    comparison = metric.compare("balanced_accuracy", pair, LABELS, 0.05)
    assert comparison.state == verdict
    assert "of balanced accuracy" in str(statistics.reason(comparison))
    by_accuracy = metric.compare("accuracy", pair, LABELS, 0.05)
    assert by_accuracy == gate.compare(*pair, LABELS, 0.05)
    assert by_accuracy.state == "proven"  # which is why accuracy is not enough here


def test_as_many_images_as_a_verdict_names_prove_a_file() -> None:
    few = metric.compare("macro_f1", (outputs(LABELS), outputs(LABELS)), LABELS, 0.05)
    assert few.images_needed
    labels = np.tile(LABELS, few.images_needed // len(LABELS) + 1)
    again = metric.compare("macro_f1", (outputs(labels), outputs(labels)), labels, 0.05)
    assert (few.state, again.state) == ("not shown", "proven")


@pytest.mark.parametrize(
    ("keep", "name"),
    [("validation_accuracy", "macro_f1"), ("validation_balanced_accuracy", "accuracy")],
)
def test_weights_are_not_kept_by_another_metric(keep: str, name: str) -> None:
    settings = params.load(ROOT / params.FILE)
    with pytest.raises(UserError, match=f"train.keep is {keep}, and problem.metric is {name}; exp"):
        params.override(settings, {"train.keep": keep, "problem.metric": name})


def test_start_proposes_a_metric_and_class_weights_for_uneven_folders(tmp_path: Path) -> None:
    for name, count in (("common", 40), ("rare", 12)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    data = survey.survey(tmp_path)
    values = recipe.overrides(problem.propose(data, tmp_path))
    assert values["problem.metric"] == "balanced_accuracy"
    assert values["problem.target"] == problem.LEAST_TARGET
    even = replace(data, counts={"common": 14, "rare": 12})
    values = recipe.overrides(problem.propose(even, tmp_path))
    assert values["problem.metric"] == "accuracy", "also where another one was proposed before"
    network = kinds.kind_of(data).candidates(data, None, has_weights=False)[0]
    assert recipe.overrides(training.propose(data, network))["train.class_weights"] == "balanced"


def test_the_sentences_of_a_device_name_the_metric() -> None:
    answers = LABELS.copy()
    answers[990:] = 0
    pair = outputs(answers), outputs(LABELS)
    comparison = metric.compare("balanced_accuracy", pair, LABELS, 0.05)
    assert isinstance(comparison, Comparison)
    proof = DeviceProof(
        state="worse",
        comparison=comparison,
        golden_difference=0.0,
        golden_tolerance=0.001,
        maker=MakersVerdict("not shown", 1000, 0.2),
        unit=None,
        median_milliseconds=1.0,
        p95_milliseconds=1.0,
    )
    assert gate.elsewhere(comparison, 0.0, 0.001, "not shown") == "worse"
    assert acceptance.sentence(proof).startswith(
        "worse: 10 of 1,000 examples lost, 0 gained: a loss of 50.00 %, significantly more than "
        "the 5 % of balanced accuracy allowed"
    )
    line = prove._accuracy(comparison)
    assert line.startswith("balanced accuracy 50.00 %, the Keras model 100.00 %; judged by it; acc")


def test_programs_without_python_get_the_makers_verdict_by_accuracy() -> None:
    proof = Proof(
        runtime="litert",
        runtime_version="1",
        verdict="not shown",
        images=1000,
        accuracy=0.99,
        accuracy_interval=(0.98, 1.0),
        accuracy_lost_bound=0.003,
        agreement=1.0,
        metric_value=0.8,
        metric_interval=(0.6, 0.9),
        metric_lost_bound=0.15,
    )
    assert proof.bound == 0.15
    by_accuracy = bundle_acceptance.by_accuracy(proof, 0.005)
    assert (by_accuracy.verdict, by_accuracy.bound) == ("proven", 0.003)
    assert bundle_acceptance.by_accuracy(proof, 0.002).verdict == "not shown"


def test_the_tables_are_headed_by_the_metric() -> None:
    rows = [ResultRow("baseline", 0.5), ResultRow("Keras", 0.8, metric="macro F1")]
    for columns in (summary.columns(rows), terminal.columns(rows)):
        assert [line.get("test macro F1") for line in cells(columns, rows)] == ["", "80.00 %"]
        assert "test accuracy" not in columns
