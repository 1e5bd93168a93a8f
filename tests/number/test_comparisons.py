"""Two models that give numbers, compared by their errors on the same examples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files.artifacts import Array
from pipeline.files.predictions import Predictions
from pipeline.files.reports.diagnose import DiagnosisReport
from pipeline.process.errors import UserError
from pipeline.reporting import by_folds
from pipeline.reporting.errors import Errors
from pipeline.reporting.measure import Measure
from pipeline.search.change import Change, Situation
from pipeline.search.dvc_experiment import Experiment
from pipeline.search.engine import Engine
from pipeline.search.improve import Loop
from pipeline.search.paired_test import Scores, compare, scores
from pipeline.search.step import Step, confirmed, corrected, paragraphs
from tests.conftest import ROOT
from tests.number.conftest import OWN, UNIT

pytestmark = pytest.mark.long

TRUE = np.random.default_rng(0).uniform(0, 90, 400).astype(np.float32)
ROWS = np.arange(400, dtype=np.uint64)


def errors(*values: float) -> Errors:
    return Errors(np.array(values), "degrees")


def answered(errors: Array, examples: Array = ROWS) -> Scores:
    """The scores of answers with these errors (N,)."""
    outputs = (TRUE + errors).astype(np.float32)[:, None]
    return scores(Predictions(outputs, TRUE, examples), OWN)


def settings() -> Params:
    return params.override(params.load(ROOT / "params.yaml"), UNIT)


def experiment(new: Scores) -> Experiment:
    report = DiagnosisReport(
        training_key="0", verdict="good_fit", epoch=1, numbers={}, sentence="it fits"
    )
    situation = Situation(settings(), "good_fit", 400)
    return Experiment("improve", {}, report, new, situation)


def test_smaller_errors_are_told_from_luck_pair_by_pair() -> None:
    rng = np.random.default_rng(1)
    old = rng.normal(0, 5, 400)
    better = compare(answered(0.8 * old), answered(old))
    change = np.abs(TRUE + 0.8 * old - TRUE) - np.abs(old)
    assert better.paired
    assert better.difference == pytest.approx(-change.mean(), rel=1e-4)
    expected = stats.ttest_rel(np.abs(0.8 * old), np.abs(old), alternative="less").pvalue
    assert better.p_value == pytest.approx(expected, rel=1e-3)
    assert better.p_value < 1e-20
    assert better.worse_p_value == pytest.approx(1)
    worse = compare(answered(old), answered(0.8 * old))
    assert worse.difference < 0
    assert worse.worse_p_value == pytest.approx(better.p_value, rel=1e-3)
    equal = compare(answered(old), answered(old))
    assert (equal.difference, equal.p_value, equal.worse_p_value) == (0, 1, 1)
    shuffled = rng.permutation(400)
    again = Scores(
        answered(0.8 * old).judged.rows(shuffled),
        answered(0.8 * old).losses[shuffled],
        ROWS[shuffled],
    )
    assert compare(again, answered(old)).p_value == pytest.approx(better.p_value)
    # on a single pair, other examples decide less
    apart = compare(answered(0.8 * old, ROWS + np.uint64(5000)), answered(old))
    assert not apart.paired
    assert better.p_value < apart.p_value < 0.05


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("paired", [True, False])
def test_values_without_any_spread_have_p_values_and_no_warning(paired: bool) -> None:
    assert errors(2).p_values(errors(3), paired=paired) == (1, 1)
    assert errors(2, 2).p_values(errors(2, 2), paired=paired) == (1, 1)
    assert errors(2, 2).p_values(errors(3, 3), paired=paired) == (0, 1)
    assert errors(3, 3).p_values(errors(2, 2), paired=paired) == (1, 0)


def test_no_change_has_no_minus_sign() -> None:
    assert Measure("error", "degrees").change(0.0) == "+0 degrees"
    assert Measure("error", "degrees").change(1.5) == "-1.5 degrees"


def test_of_equal_models_of_numbers_at_most_one_in_twenty_is_confirmed() -> None:
    rng, pairs, count = np.random.default_rng(2), 1000, 0
    for _ in range(pairs):
        test = compare(*(answered(rng.normal(0, 5, 400)) for _ in range(2)))
        count += confirmed(test, *corrected([test]))
    assert count / pairs < 0.05


def test_a_smaller_squared_error_keeps_no_model_of_larger_error() -> None:
    old = np.where(np.arange(400) % 20 == 0, 60.0, 1.0)  # few, but far off
    level = compare(answered(np.full(400, 4.5)), answered(old))
    assert level.loss_p_value < 0.01
    assert level.difference < 0
    assert not confirmed(level, *corrected([level]))


def test_the_story_of_a_number_speaks_of_the_error_and_its_unit() -> None:
    old = np.random.default_rng(3).normal(0, 5, 400)
    first, second = experiment(answered(old)), experiment(answered(0.8 * old))
    test = compare(second.scores, first.scores)
    (p_value,) = corrected([test])
    step = Step(second, Change("wider", {}, "it helps"), test, p_value)
    texts = [*paragraphs(1, Step(first)), *paragraphs(2, step)]
    mean = np.abs(0.8 * old).mean()
    assert f"Validation mean absolute error **{mean:.4g} degrees** on 400 examples" in texts[6]
    change = mean - np.abs(old).mean()
    assert f"{change:+.4g} degrees against the best so far, pair by pair: p = " in texts[7]
    assert "for the squared error; the smaller one is doubled" in texts[7]
    assert "wider: confirmed, kept" in texts[3]
    assert not any("accuracy" in text or "%" in text for text in texts)
    assert second.score == f"validation mean absolute error {mean:.4g} degrees"


@pytest.mark.parametrize(("target", "is_reached"), [(4.5, True), (4.0, False), (3.0, False)])
def test_a_loop_ends_once_the_interval_of_the_error_lies_below_the_target(
    target: float, is_reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    old = np.random.default_rng(3).normal(0, 5, 400)
    start = experiment(answered(old))
    low, high = start.scores.judged.interval
    assert 3.0 < low < 4.0 < high < 4.5
    aim = params.override(settings(), {"problem.target": target})
    loop = Loop({}, False, Engine())
    loop.steps.append(Step(dataclasses.replace(start, situation=Situation(aim, "good_fit", 400))))
    assert loop.reached() is is_reached


def test_an_error_is_compared_with_that_of_the_baseline_fold_by_fold() -> None:
    rng = np.random.default_rng(4)
    folds = [errors(*rng.exponential(3, 50)) for _ in range(4)]
    larger = [errors(*(part.errors + rng.normal(1, 0.2, 50))) for part in folds]
    assert by_folds.p_value(folds, larger) < 0.001
    assert by_folds.p_value(folds, larger) == by_folds.p_value(larger, folds)
    assert by_folds.p_value(folds, folds) == 1
    # much better in one fold, and no better in the others: the examples alone would be convincing
    lucky = [errors(*(part.errors + 4 * (number == 0))) for number, part in enumerate(folds)]
    together, other = (np.concatenate([part.errors for part in parts]) for parts in (folds, lucky))
    assert stats.ttest_rel(together, other).pvalue < 1e-6
    assert by_folds.p_value(folds, lucky) > 0.3


def test_the_interval_of_folds_is_in_the_unit_and_has_no_upper_end_at_one() -> None:
    score = by_folds.score([errors(2, 4, 6), errors(3, 5, 7)])
    assert (score.value, score.images, score.unit) == (4.5, 6, "degrees")
    assert 0 <= score.interval[0] < 4.5
    assert score.interval[1] > 6
    assert by_folds.sentence(score).startswith(
        "The cross-validated mean absolute error of the recipe is 4.5 degrees (95 % interval "
    )


def test_folds_do_not_judge_the_target_of_a_number() -> None:
    sentence = "evaluate.folds is reports/folds.json, and problem.unit is degrees: the error of a"
    with pytest.raises(UserError, match=sentence):
        params.override(settings(), {"evaluate.folds": "reports/folds.json"})
