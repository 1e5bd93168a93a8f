"""When a change is kept: against the best so far, alone or beside others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import params
from pipeline.files.artifacts import Description
from pipeline.files.predictions import Predictions
from pipeline.files.reports.diagnose import DiagnosisReport
from pipeline.search.change import Change, Situation
from pipeline.search.dvc_experiment import Experiment
from pipeline.search.paired_test import PairedTest, Scores, compare, scores
from pipeline.search.step import Step, confirmed, corrected, outdone, paragraphs
from tests.conftest import ROOT

pytestmark = pytest.mark.long

TWO = Description("own", ["a", "b"], (2, 2, 1), {}, [])


def answers(right: np.ndarray, examples: np.ndarray, surely: float = 0.9) -> Scores:
    """Those to examples of class 0, whose probability is `surely` where the answer is right."""
    of_class_0 = np.where(right, surely, 0.2)
    return scored(of_class_0, examples)


def scored(of_class_0: np.ndarray, examples: np.ndarray) -> Scores:
    probabilities = np.stack([of_class_0, 1 - of_class_0], axis=1)
    labels = np.zeros(len(examples), int)
    return scores(Predictions(probabilities, labels, examples.astype(np.uint64)), TWO)


def is_confirmed(comparison: PairedTest) -> bool:
    return confirmed(comparison, *corrected([comparison]))


def test_a_better_model_is_told_from_a_lucky_one_pair_by_pair() -> None:
    rng = np.random.default_rng(0)
    old = rng.random(1000) < 0.9
    better = old | (rng.random(1000) < 0.3)
    lucky = old.copy()
    lucky[np.flatnonzero(~old)[:3]] = True
    rows = np.arange(1000)
    assert compare(answers(better, rows), answers(old, rows)).p_value < 1e-6
    assert compare(answers(lucky, rows), answers(old, rows)).p_value > 0.1
    assert compare(answers(old, rows), answers(better, rows)).worse_p_value < 1e-6
    shuffled = rng.permutation(1000)
    assert compare(answers(better[shuffled], shuffled), answers(old, rows)) == compare(
        answers(better, rows), answers(old, rows)
    )
    assert not compare(answers(better, rows + 5000), answers(old, rows)).paired
    assert compare(answers(old, rows), answers(old, rows)).loss_p_value == 1.0


def test_a_loss_that_is_better_keeps_no_model_of_lower_accuracy() -> None:
    old = np.ones(6000, bool)
    old[:10] = False
    new = np.ones(6000, bool)
    new[20:38] = False  # 10 gained, 18 lost
    rows = np.arange(6000)
    comparison = compare(answers(new, rows, surely=0.99), answers(old, rows))
    assert comparison.loss_p_value < 1e-6
    assert comparison.difference == pytest.approx(-8 / 6000)
    assert not is_confirmed(comparison)
    level = compare(answers(old, rows, surely=0.99), answers(old, rows))
    assert is_confirmed(level)  # as accurate, and surer of it


def test_several_labels_are_compared_at_thresholds_of_their_own() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (300, 2))
    outputs = 0.1 + 0.2 * labels + 0.05 * rng.random((300, 2))  # none reaches 0.5
    rows = np.arange(300).astype(np.uint64)
    description = Description("own", ["a", "b"], (2, 2, 1), {}, [], target="labels")
    compared = scores(Predictions(outputs, labels, rows), description)
    assert compared.judged.value > 0.98  # at 0.5, those alone that have no label are right
    assert (outputs < 0.5).all()


def test_of_equal_models_at_most_one_in_twenty_is_confirmed() -> None:
    rng = np.random.default_rng(1)
    rows, pairs, count = np.arange(300), 2000, 0
    for _ in range(pairs):
        first, second = (
            rng.beta(4, 1, 300) for _ in range(2)
        )  # the probability of the right class
        count += is_confirmed(compare(scored(first, rows), scored(second, rows)))
    assert count / pairs < 0.05


def test_of_steps_with_three_equal_models_at_most_one_in_twenty_confirms_any() -> None:
    """Each against the same best so far; one by one, twice as many would."""
    rng = np.random.default_rng(2)
    rows, steps, count = np.arange(300), 1000, 0
    for _ in range(steps):
        best, *others = (scored(rng.beta(4, 1, 300), rows) for _ in range(4))
        tests = [compare(other, best) for other in others]
        count += any(map(confirmed, tests, corrected(tests)))
    assert count / steps < 0.05


def test_of_changes_tried_side_by_side_the_confirmed_one_that_improves_most_is_kept() -> None:
    figures = {
        "wider": (0.02, 1e-4, 0.5, 1.0),
        "deeper": (0.03, 1e-3, 0.5, 1.0),
        "longer": (0.001, 0.02, 0.5, 0.9),
    }
    steps = [
        step(name, [other for other in figures if other != name], PairedTest(*four, paired=True))
        for name, four in figures.items()
    ]
    assert corrected([PairedTest(0.001, 0.02, 0.5, 0.9, paired=True)]) == [0.04]
    adjusted = corrected([change.comparison for change in steps if change.comparison])
    assert adjusted == pytest.approx([6e-4, 5e-3, 0.08])
    steps = outdone([replace(change, p_value=p) for change, p in zip(steps, adjusted, strict=True)])
    assert [change.verdict for change in steps] == [
        "confirmed, but deeper improves more",
        "confirmed, kept",
        "not shown, rejected",  # alone it would be confirmed
    ]
    first, second, _ = ("\n".join(paragraphs(2, change)) for change in steps)
    assert "Tried side by side with deeper, longer: each against the same best so far" in first
    assert "It may be tried again on top of deeper." in first
    assert "the smaller one is 0.0006 after Holm's correction for all 6 of them." in first
    assert "tried again" not in second
    assert "the smaller one is doubled" in paragraphs(2, replace(steps[2], beside=()))[4]


def step(name: str, beside: list[str], comparison: PairedTest) -> Step:
    """One of an experiment whose figures do not matter."""
    report = DiagnosisReport(
        training_key="0", verdict="good_fit", epoch=1, numbers={}, sentence="it fits"
    )
    rows = np.arange(10)
    situation = Situation(params.load(ROOT / "params.yaml"), "good_fit", 60000)
    experiment = Experiment("improve", {}, report, answers(rows > 0, rows), situation)
    return Step(experiment, Change(name, {}, "it helps"), comparison, beside=beside)
