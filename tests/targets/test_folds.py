"""With folds, the target is judged by the models of all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle import gates
from pipeline.config import params
from pipeline.files.artifacts import Array
from pipeline.files.reports.evaluate import EvaluationReport, FoldScore, MetricScore
from pipeline.files.reports.folds import recipe
from pipeline.reporting import by_folds, metrics, page_gates, statistics, terminal
from pipeline.reporting.metrics import ACCURACY, Judged
from pipeline.targets import (
    _scores,
)
from tests import reports
from tests.conftest import ROOT
from tests.targets.conftest import THREE, evaluated


def alike(right: Array) -> FoldScore:
    """Five folds, in each of which these examples (N,) are answered right."""
    return by_folds.score([metrics.by_accuracy(right)] * 5)


def test_with_folds_the_target_is_judged_by_them_and_every_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = evaluated([0, 0, 0, 0, 1, 1, 0, 2], tmp_path)
    assert report.gate.failures["target"] == []
    score = alike(np.arange(60) < 24)
    judged = _scores.with_folds(report, score)
    assert isinstance(judged, EvaluationReport)
    (failure,) = judged.gate.failures["target"]
    named = "cross-validated accuracy of the recipe 0.4000 is below problem.target 0.5; change"
    assert failure.startswith(named)
    assert judged.test_accuracy == report.test_accuracy
    assert by_folds.sentence(score) == (
        "The cross-validated accuracy of the recipe is 40.00 % (95 % interval 34.41 to 45.79 %): "
        "models of 5 folds, trained by the same recipe, answered 300 examples that they never saw."
    )
    assert by_folds.sentence(score) in page_gates.score(reports.bundled(evaluate=judged))
    judged.save()
    assert EvaluationReport.load() == judged
    shown = terminal.sentences(["baseline", "verify", "diagnose"])
    assert by_folds.remark(judged) in shown
    assert by_folds.remark(judged).startswith(by_folds.sentence(score))


def test_with_folds_too_few_test_images_to_beat_the_baseline_stop_only_if_proof_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = evaluated([0, 0, 0, 0, 1, 1, 0, 2], tmp_path)
    gate = report.gate.changed(
        baseline_beaten=False,
        baseline_accuracy=0.5,
        baseline_p_value=0.25,
        failures={**report.gate.failures, "baseline": ["not significantly better"]},
    )
    report = report.changed(gate=gate)
    better, worse = (alike(np.arange(60) < hits) for hits in (54, 30))
    judged = _scores.with_folds(report, better)
    too_few = "8 test examples are too few to show that the model beats the baseline's"
    sentence = f"{too_few} 50.00 % (p = 0.250)"
    assert judged.judged.passed
    assert _scores.remarks(judged)[0] == (
        f"{by_folds.sentence(better)} The test accuracy is that of this very model. {sentence}."
    )
    settings, bundled = params.load(ROOT / "params.yaml"), reports.bundled(evaluate=judged)
    by_gate = gates.by_gate(settings, bundled)
    assert by_gate["baseline"] == []
    verdicts = page_gates.gate_verdicts(settings, bundled, by_gate)
    assert f"Not shown: {sentence}." in [text for gate in verdicts for text in gate.sentences]
    strict = settings.model_copy(
        update={"verify": settings.verify.model_copy(update={"require": "proven"})}
    )
    (failure,) = gates.by_gate(strict, bundled)["baseline"]
    assert failure == f"{sentence}, and verify.require is proven"
    assert _scores.with_folds(report, worse).judged.failures["baseline"]
    judged.save()
    shown = terminal.sentences(["baseline", "verify", "diagnose"])
    assert _scores.remarks(judged)[0] in shown


def test_the_interval_of_folds_is_wider_if_their_models_differ() -> None:
    same = alike(np.arange(60) < 42)
    assert same.interval == statistics.accuracy_interval(210, 300)
    differing = by_folds.score(
        [metrics.by_accuracy(np.arange(60) < hits) for hits in (30, 36, 42, 48, 54)]
    )
    assert differing.value == same.value
    half = 2.7764 * np.std([0.5, 0.6, 0.7, 0.8, 0.9], ddof=1) * np.sqrt(1 / 5 + 1 / 4)
    assert differing.interval == pytest.approx((0.7 - half, 0.7 + half), abs=1e-3)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_the_interval_of_folds_holds_the_score_of_the_recipe_19_times_in_20(metric: str) -> None:
    """300 examples, a nearest-mean model in 5 folds, 400 times; with classes of 240 and 60."""
    rng = np.random.default_rng(0)
    every = 2 if metric == ACCURACY else 5

    def drawn(count: int) -> tuple[Array, Array]:
        labels = (np.arange(count) % every == 0).astype(int)
        return rng.normal(size=(count, 20)) + 0.35 * labels[:, None], labels

    def judged(train: tuple[Array, Array], test: tuple[Array, Array]) -> Judged:
        means = np.array([train[0][train[1] == label].mean(0) for label in range(2)])
        nearest = ((test[0][:, None] - means) ** 2).sum(2).argmin(1)
        return Judged(metric, nearest, test[1], 2)

    large, covered = drawn(2000), 0
    for _ in range(400):
        inputs, labels = drawn(300)
        pairs = [(np.arange(300) // every % 5 != fold) for fold in range(5)]
        parts = [judged((inputs[k], labels[k]), (inputs[~k], labels[~k])) for k in pairs]
        low, high = by_folds.score(parts).interval
        covered += low <= judged((inputs, labels), large).value <= high
    assert covered / 400 >= 0.95, covered


def test_folds_judge_by_the_metric_of_the_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that always answers the class with 50 of 60 examples has a balanced accuracy of half.

    It is judged by that figure and no other, against the target and against the baseline.
    """
    monkeypatch.chdir(tmp_path)
    labels = np.repeat([0, 1], [50, 10])
    blind = by_folds.score([Judged("balanced_accuracy", np.zeros(60, int), labels, 2)] * 5)
    good = by_folds.score([Judged("balanced_accuracy", labels, labels, 2)] * 5)
    assert (blind.value, good.value) == (0.5, 1.0)
    assert blind.interval[0] < 0.5 < blind.interval[1] < 0.6
    report = evaluated([0, 0, 0, 0, 1, 1, 0, 2], tmp_path)
    metric = MetricScore(name="balanced_accuracy", value=0.7, interval=(0.4, 0.9), baseline=0.6)
    failures = {**report.gate.failures, "baseline": ["not significantly better"]}
    gate = report.gate.changed(
        target=0.6, baseline_accuracy=0.99, baseline_beaten=False, failures=failures
    )
    report = report.changed(metric=metric, gate=gate)
    judged = _scores.with_folds(report, good)
    assert judged.judged.passed
    assert "the baseline's 60.00 %" in by_folds.remark(judged)
    assert "The test balanced accuracy is that of this very model" in by_folds.remark(judged)
    missed = _scores.with_folds(report, blind).judged.failures
    assert missed["baseline"]
    assert missed["target"][0].startswith(
        "cross-validated balanced accuracy of the recipe 0.5000 is below problem.target 0.6; change"
    )


def test_folds_of_another_metric_are_of_another_recipe() -> None:
    settings = params.load(ROOT / "params.yaml")
    other = params.override(settings, {"problem.metric": "macro_f1"})
    assert recipe(settings, THREE) != recipe(other, THREE)
