"""The gate's statistics, compared with independent computations, and its verdicts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from pipeline.reporting import statistics
from serving import distributions, gate
from serving.comparison import Comparison
from serving.gate import NOT_SHOWN, PROVEN, WORSE


def test_the_accuracy_interval_covers_the_true_accuracy_at_least_95_times_in_100() -> None:
    for accuracy in (0.9, 0.99, 0.995):
        counts = np.arange(401)
        inside = [
            low <= accuracy <= high
            for low, high in (gate.accuracy_interval(int(count), 400) for count in counts)
        ]
        assert stats.binom.pmf(counts, 400, accuracy) @ inside >= 0.95


def test_mcnemar_is_exact() -> None:
    assert gate.mcnemar(0, 0) == 1.0
    assert gate.mcnemar(1, 9) == pytest.approx(2 * 11 / 1024)


@given(
    first=st.integers(1, 10000),
    second=st.integers(0, 10000),
    swapped=st.booleans(),
    confidence=st.sampled_from([0.9, 0.95]),
)
def test_interval_and_p_value_are_those_of_scipy_stats(
    first: int, second: int, swapped: bool, confidence: float
) -> None:
    first, second = (second, first) if swapped else (first, second)
    peer = stats.binomtest(first, first + second)
    interval = gate.accuracy_interval(first, first + second, confidence)
    assert interval == pytest.approx(tuple(peer.proportion_ci(confidence, "exact")), abs=1e-9)
    assert gate.mcnemar(first, second) == pytest.approx(peer.pvalue, rel=1e-6)


@given(a=st.integers(1, 20000), b=st.integers(1, 20000), x=st.floats(0, 1))
def test_the_incomplete_beta_function_is_that_of_scipy(a: int, b: int, x: float) -> None:
    assert distributions.incomplete_beta(a, b, x) == pytest.approx(
        special.betainc(a, b, x), rel=1e-8, abs=1e-12
    )


@given(lost=st.integers(0, 50), gained=st.integers(0, 50), total=st.integers(200, 20000))
def test_the_bound_lies_above_the_estimate_and_grows_with_every_loss(
    lost: int, gained: int, total: int
) -> None:
    bound = gate.accuracy_lost_bound(lost, gained, total)
    assert (lost - gained) / total < bound <= 1
    assert gate.accuracy_lost_bound(lost + 1, gained, total) > bound


def test_without_a_gain_the_bound_is_close_to_the_exact_one_of_a_proportion() -> None:
    for lost in (0, 1, 5, 50):
        _, exact = gate.accuracy_interval(lost, 2000, confidence=0.9)
        assert gate.accuracy_lost_bound(lost, 0, 2000) == pytest.approx(exact, rel=0.05)


@cache
def bound(lost: int, gained: int, total: int) -> float:
    return gate.accuracy_lost_bound(lost, gained, total)


@pytest.mark.parametrize("total", [200, 500, 1000, 2000, 10000])
def test_the_bound_covers_the_true_loss_at_least_95_times_in_100(total: int) -> None:
    """Summed over all outcomes, not simulated.

    0.1 to 1 % of the images disagree, with all, some or none of them lost.
    """
    for disagreeing in (0.001, 0.002, 0.0035, 0.005, 0.0075, 0.01):
        for share in (1.0, 0.9, 0.65, 0.5, 0.25, 0.0):
            assert coverage(total, disagreeing * share, disagreeing * (1 - share)) >= 0.95, (
                disagreeing,
                share,
            )


def coverage(total: int, p_lost: float, p_gained: float) -> float:
    """How often the bound is at least the true loss."""
    covered = 0.0
    lost_counts = np.arange(stats.binom.ppf(1 - 1e-7, total, p_lost) + 1, dtype=int)
    for lost, weight in zip(lost_counts, stats.binom.pmf(lost_counts, total, p_lost), strict=True):
        rest = total - lost
        gained_counts = np.arange(
            stats.binom.ppf(1 - 1e-7, rest, p_gained / (1 - p_lost)) + 1, dtype=int
        )
        weights = stats.binom.pmf(gained_counts, rest, p_gained / (1 - p_lost))
        inside = [
            bound(int(lost), int(gained), total) >= p_lost - p_gained for gained in gained_counts
        ]
        covered += weight * float(weights @ inside)
    return covered


@pytest.mark.parametrize("drop", [0.001, 0.002, 0.01])
def test_so_many_images_are_needed_to_prove_a_drop_and_not_one_less(drop: float) -> None:
    needed = gate.images_needed(drop)
    assert needed is not None
    assert (
        gate.accuracy_lost_bound(0, 0, needed) <= drop < gate.accuracy_lost_bound(0, 0, needed - 1)
    )


def test_no_number_of_images_proves_a_loss_above_the_limit() -> None:
    assert gate.images_needed(0.002, lost_rate=0.003) is None


@pytest.mark.parametrize(
    ("lost", "gained", "total", "expected"),
    [
        (0, 0, 200, NOT_SHOWN),  # equal probabilities, but too few images
        (1, 0, 280, NOT_SHOWN),  # a single image
        (2, 0, 280, WORSE),  # 0.7 %, and 0.2 % is allowed
        (1, 0, 2007, NOT_SHOWN),
        (0, 0, 2007, PROVEN),
        (6, 0, 1500, WORSE),
        (7, 6, 2007, NOT_SHOWN),
        (16, 3, 16000, PROVEN),  # a significant loss, but within the limit
        (45, 3, 16000, WORSE),
    ],
)
def test_a_verdict_is_proven_not_shown_or_worse(
    lost: int, gained: int, total: int, expected: str
) -> None:
    assert gate.verdict(lost, gained, total, 0.002) == expected


def test_a_file_that_is_not_proven_has_a_reason_and_a_cure() -> None:
    labels = np.arange(200) % 2
    reference = np.eye(2)[labels]
    comparison = gate.compare(reference.copy(), reference, labels, 0.002)
    assert comparison.state == NOT_SHOWN
    assert statistics.reason(comparison) == (
        "0 of 200 images lost, 0 gained: no significant loss, "
        "but so few images show only that it is at most 1.54 %; "
        "1,559 images like these would show 0.2 %"
    )


def test_the_reason_names_what_was_counted() -> None:
    labels = np.zeros(200, np.int64)
    reference = np.eye(2, dtype=np.float32)[labels]
    comparison = gate.compare(reference, reference, labels, 0.002)
    reason = statistics.reason(comparison, noun="sounds") or ""
    assert reason.startswith("0 of 200 sounds lost, 0 gained: ")
    assert "image" not in reason


def test_the_accuracy_is_of_the_test_set_and_the_loss_of_all_images() -> None:
    labels = np.zeros(300, int)
    reference = np.tile([0.9, 0.1], (300, 1))
    probabilities = reference.copy()
    probabilities[250] = [0.1, 0.9]  # after the test set
    comparison = gate.compare_answers(probabilities, reference, labels, 0.002, 200)
    assert comparison == gate.compare(probabilities, reference, labels, 0.002, test_images=200)
    assert (comparison.accuracy, comparison.lost) == (1.0, 1)
    assert (comparison.images, comparison.test_images) == (300, 200)


def test_probabilities_that_are_not_finite_are_worse() -> None:
    labels = np.zeros(3000, int)
    reference = np.tile([0.9, 0.1], (3000, 1))
    probabilities = reference.copy()
    probabilities[7, 1] = np.nan
    comparison = gate.compare(probabilities, reference, labels, 0.002)
    assert comparison.state == WORSE
    assert statistics.reason(comparison) == "some of its outputs are not finite numbers"


def sample(lost: int, gained: int, images: int, allowed: float = 0.002) -> Comparison:
    """The gate on a sample of which no image but the lost and gained ones is answered wrongly."""
    labels = np.zeros(images, int)
    right, wrong = [0.9, 0.1], [0.2, 0.8]
    file, keras = np.tile(right, (images, 1)), np.tile(right, (images, 1))
    file[:lost] = wrong
    keras[lost : lost + gained] = wrong
    return gate.compare_answers(file, keras, labels, allowed, images)


@pytest.mark.parametrize(
    ("lost", "gained", "images", "maker", "expected"),
    [
        (0, 0, 100, PROVEN, PROVEN),  # too few images to prove it, but the maker had enough
        (1, 0, 10, PROVEN, PROVEN),
        (2, 0, 100, PROVEN, PROVEN),  # where 0.2 is expected: 1 sample in 60
        (3, 0, 100, PROVEN, WORSE),  # 1 in 900
        (76, 0, 100, PROVEN, WORSE),
        (0, 0, 100, NOT_SHOWN, NOT_SHOWN),
        (0, 0, 2000, NOT_SHOWN, PROVEN),  # the sample proves it by itself
        (0, 0, 2000, WORSE, WORSE),
    ],
)
def test_elsewhere_the_makers_verdict_holds_unless_a_sample_contradicts_it(
    lost: int, gained: int, images: int, maker: str, expected: str
) -> None:
    comparison = sample(lost, gained, images)
    assert (comparison.lost, comparison.gained) == (lost, gained)
    assert gate.elsewhere(comparison, 0.01, 0.08, maker) == expected
    assert gate.elsewhere(comparison, 0.2, 0.08, maker) == WORSE  # the golden vectors differ
    assert gate.elsewhere(comparison, float("nan"), 0.08, maker) == WORSE
    broken = replace(comparison, largest_difference=float("nan"))
    assert gate.elsewhere(broken, 0.01, 0.08, maker) == WORSE


@pytest.mark.parametrize("images", [10, 100, 1000])
@pytest.mark.parametrize(
    ("allowed", "p_lost", "p_gained"),
    [(0.01, 0.007, 0.003), (0.01, 0.005, 0.001), (0.002, 0.002, 0.001), (0.002, 0.0015, 0.0005)],
)
def test_a_file_within_the_limit_is_worse_elsewhere_at_most_once_in_a_hundred_times(
    images: int, allowed: float, p_lost: float, p_gained: float
) -> None:
    """Summed over all outcomes, not simulated."""
    counts = np.arange(min(images, 40) + 1)
    alarms = 0.0
    for lost, weight in zip(counts, stats.binom.pmf(counts, images, p_lost), strict=True):
        gained = stats.binom.pmf(counts, images - lost, p_gained / (1 - p_lost))
        alarms += weight * sum(
            chance
            for count, chance in enumerate(gained)
            if count + lost <= images and gate.exceeds(int(lost), count, images, allowed)
        )
    assert alarms <= 0.01


def gate_outcomes() -> list[tuple[int, int, int, float]]:
    """Images lost, gained and in total, and the limit of the loss.

    Tests of the gate in other languages use them too.
    """
    dice = np.random.default_rng(0)
    counts = [(int(lost), int(gained)) for lost, gained in dice.integers(0, 40, (60, 2))]
    rare = [(0, 0), (1, 0), (0, 1), (2, 0), (0, 30), (100, 100), (200, 0), (0, 200)]
    return [
        (lost, gained, total, 0.002)
        for lost, gained in [*rare, *counts]
        for total in (200, 1000, 10000)
    ]
