"""The answer "none of these": thresholds that keep a promise, and what the gate says of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.bundle import gates
from pipeline.bundle.card import rejection as on_card
from pipeline.config import params
from pipeline.config.problem import Problem
from pipeline.files.artifacts import Array
from pipeline.files.reports.run import RunReports
from pipeline.files.reports.verify import ComparedPair, Rejection
from pipeline.tracking import record
from pipeline.verification import rejection, verdicts
from tests import reports
from tests.conftest import ROOT

PARAMS = params.load(ROOT / "params.yaml")


def problem(coverage: float | None = None, max_error: float | None = None) -> Problem:
    return PARAMS.problem.model_copy(update={"coverage": coverage, "max_error": max_error})


def answers(count: int, seed: int) -> tuple[Array, Array]:
    """Confidences (N,) that are true: an answer is right with that probability."""
    generator = np.random.default_rng(seed)
    confidences = generator.uniform(0.5, 1, count)
    return confidences, generator.random(count) < confidences


@given(st.integers(1, 20_000), st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]))
def test_the_threshold_for_a_coverage_is_the_highest_that_keeps_it_with_95_percent_confidence(
    count: int, coverage: float
) -> None:
    confidences = np.linspace(0, 1, count)
    threshold = rejection.for_coverage(confidences, coverage)
    rank = 0 if threshold is None else int(np.searchsorted(confidences, threshold)) + 1

    def kept(rank: int) -> float:
        """The probability that the confidence of this rank leaves enough above it."""
        return float(stats.beta.cdf(1 - coverage, rank, count - rank + 1))

    assert rank == 0 or kept(rank) >= 0.95 - 1e-9
    assert kept(rank + 1) < 0.95 + 1e-9


def test_more_wrong_answers_than_promised_are_accepted_in_at_most_a_twentieth_of_all_samples() -> (
    None
):
    """The error above a threshold t is (1 - t) / 2, since confidences are uniform and true."""
    thresholds = [rejection.for_error(*answers(3000, seed), 0.1) for seed in range(200)]
    strictness = np.array([value for value in thresholds if value is not None])
    assert len(strictness) > 100, "the search must find thresholds"
    assert ((1 - strictness) / 2 > 0.1).sum() <= 0.05 * len(thresholds)
    assert strictness.max() < 0.95, "and not only the strictest"


def test_equal_confidences_are_accepted_together() -> None:
    """As in an int8 file, whose threshold must be a value that it can give."""
    confidences = np.repeat([1.0, 0.75, 0.5], 200)
    right = np.r_[np.ones(400, bool), np.arange(200) % 2 == 0]
    assert rejection.for_error(confidences, right, 0.05) == 0.75
    assert rejection.for_coverage(confidences, 0.5) == 0.75


def test_too_few_validation_images_support_no_threshold_and_the_reason_says_how_many_would() -> (
    None
):
    confidences, right = answers(298, 0)
    assert rejection.fit(confidences, right, problem(coverage=0.99)) is None
    assert "298 validation images are too few" in rejection.too_few(298, problem(coverage=0.99))
    assert "expected at least 299" in rejection.too_few(298, problem(coverage=0.99))
    for promise in (problem(coverage=0.99), problem(max_error=0.001)):
        reason = rejection.too_few(298, promise, others=16)
        assert reason.endswith("16 test pictures of none of the classes cannot be judged")
        assert "cannot be judged" not in rejection.too_few(298, promise)
    assert rejection.fit(*answers(299, 0), problem(coverage=0.99)) is not None
    assert rejection.fit(confidences, right, problem(max_error=0.001)) is None


@pytest.mark.parametrize(
    ("accepted", "wrong", "promise", "state"),
    [
        (9_950, 50, problem(coverage=0.99), "proven"),
        (9_900, 0, problem(coverage=0.99), "not shown"),
        (9_850, 0, problem(coverage=0.99), "worse"),
        (9_000, 3, problem(max_error=0.001), "proven"),
        (9_000, 9, problem(max_error=0.001), "not shown"),
        (9_000, 30, problem(max_error=0.001), "worse"),
    ],
)
def test_the_test_set_shows_that_a_promise_is_kept_or_broken_or_neither(
    accepted: int, wrong: int, promise: Problem, state: str
) -> None:
    confidences = np.r_[np.full(accepted, 0.9, np.float32), np.full(10_000 - accepted, 0.5)]
    right = np.arange(10_000) >= wrong
    kept = rejection.rejection(confidences, right, float(np.float32(0.9)), promise)
    assert (kept.accepted, kept.wrong, kept.state) == (accepted, wrong, state)
    assert kept.coverage_bound < kept.coverage
    assert kept.error_bound > kept.error


def kept(**values: object) -> Rejection:
    confidences, right = answers(400, 0)
    facts = rejection.rejection(confidences, right, 0.51, problem(coverage=0.9))
    return facts.changed(**values)


def test_a_broken_promise_stops_the_bundle_with_its_cure() -> None:
    pair = reports.compared(rejection=kept(state="worse", accepted=300))
    bundled = reports.bundled(verify=reports.verification(pair))
    settings = PARAMS.model_copy(update={"problem": problem(coverage=0.9)})
    (sentence,) = gates.by_gate(settings, bundled)["verify"]
    assert sentence.startswith("tflite_int8 on litert accepts 300 of 400 test examples")
    assert "problem.coverage is 0.9; are validation and test set alike?" in sentence


def test_a_promise_that_is_not_shown_stops_no_bundle_even_if_files_must_be_proven() -> None:
    pair = reports.compared(rejection=kept(state="not shown"))
    bundled = reports.bundled(verify=reports.verification(pair))
    settings = PARAMS.model_copy(update={"problem": problem(coverage=0.9)})
    verify = settings.verify.model_copy(update={"require": "proven"})
    strict = settings.model_copy(update={"verify": verify})
    for required in (settings, strict):
        assert gates.by_gate(required, bundled)["verify"] == []


def test_the_card_has_the_threshold_of_each_file_and_the_rule_in_words() -> None:
    pair = reports.compared(rejection=kept(), accept_from=0.51)
    described = on_card(problem(coverage=0.9), reports.verification(pair))
    assert described is not None
    assert described.coverage == 0.9
    assert "answers 90.00 % of inputs like those of the validation set" in described.rule
    assert described.test[0].accept_from == 0.51
    assert on_card(problem(), reports.verification(reports.compared())) is None


def test_what_runtimes_answer_is_one_range_for_each_verdict() -> None:
    answered = (("litert", 0.9916, 0.0011), ("tflite_micro", 0.984, 0.0))
    pairs = [
        reports.compared(runtime=runtime, rejection=kept(coverage=share, error=error))
        for runtime, share, error in answered
    ]
    (sentence,) = verdicts.rejections(pairs)
    assert sentence.startswith("answers 98.40 % to 99.16 %, at most 0.11 % of them wrong: ")


def test_rejected_others_are_told_by_the_worst_runtime_and_go_to_mlflow() -> None:
    def pair(runtime: str, rejected: int) -> ComparedPair:
        others = {"images": 200, "rejected": rejected, "share": rejected / 200}
        return reports.compared(
            runtime=runtime, others={**others, "interval": (0.9, 1.0)}, rejection=kept()
        )

    pairs = [pair("litert", 196), pair("tflite_runtime", 190)]
    assert verdicts.rejections(pairs)[-1] == "rejects 95.00 % of 200 others (90.00 % to 100.00 %)"
    rows = record.tables(RunReports(verify=reports.verification(*pairs)))["pairs"]
    assert [row["others.share"] for row in rows] == [0.98, 0.95]


def test_of_two_promises_the_coverage_decides_and_the_worse_verdict_counts() -> None:
    confidences, right = answers(3000, 0)
    both = problem(coverage=0.9, max_error=0.001)
    threshold = rejection.fit(confidences, right, both)
    assert threshold == rejection.for_coverage(confidences, 0.9)
    assert rejection.verdict(9_990, 3, 10_000, problem(coverage=0.9)) == "proven"
    assert rejection.verdict(9_990, 9, 10_000, both) == "not shown"
    assert rejection.verdict(9_990, 30, 10_000, both) == "worse"


def test_the_files_of_the_finished_run_know_how_sure_they_may_be() -> None:
    """CI runs `make run` before the tests."""
    path = ROOT / "reports/verify.json"
    if not path.exists():
        pytest.skip("the pipeline has not run here")
    pairs = [pair for pair in json.loads(path.read_text())["pairs"] if "arena_bytes" not in pair]
    native = [pair for pair in pairs if pair["processor"] == "native"]
    assert max(pair["calibration_error"] for pair in native) <= 0.02
    assert {pair["rejection"]["state"] for pair in native} <= {"proven", "not shown"}
    assert min(pair["rejection"]["coverage"] for pair in native) > 0.985
    assert max(pair["rejection"]["error"] for pair in native) < 0.002
