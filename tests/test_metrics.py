"""The statistics behind the gate, held against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline import metrics


def test_the_accuracy_interval_covers_the_true_accuracy_at_least_95_times_in_100() -> None:
    for accuracy in (0.9, 0.99, 0.995):
        counts = np.arange(401)
        inside = [low <= accuracy <= high for low, high in (metrics.accuracy_interval(int(count), 400) for count in counts)]
        assert stats.binom.pmf(counts, 400, accuracy) @ inside >= 0.95


def test_mcnemar_is_exact() -> None:
    assert metrics.mcnemar(0, 0) == 1.0
    assert metrics.mcnemar(1, 9) == pytest.approx(2 * 11 / 1024)


@given(first=st.integers(1, 10000), second=st.integers(0, 10000), swapped=st.booleans(), confidence=st.sampled_from([0.9, 0.95]))
def test_interval_and_p_value_are_those_of_scipy_stats(first: int, second: int, swapped: bool, confidence: float) -> None:
    first, second = (second, first) if swapped else (first, second)
    peer = stats.binomtest(first, first + second)
    interval = metrics.accuracy_interval(first, first + second, confidence)
    assert interval == pytest.approx(tuple(peer.proportion_ci(confidence, "exact")), abs=1e-9)
    assert metrics.mcnemar(first, second) == pytest.approx(peer.pvalue, rel=1e-6)


@given(lost=st.integers(0, 50), gained=st.integers(0, 50), total=st.integers(200, 20000))
def test_the_bound_lies_above_the_estimate_and_grows_with_every_loss(lost: int, gained: int, total: int) -> None:
    bound = metrics.accuracy_lost_bound(lost, gained, total)
    assert (lost - gained) / total < bound <= 1
    assert metrics.accuracy_lost_bound(lost + 1, gained, total) > bound


def test_without_a_discordant_pair_the_bound_is_tangos() -> None:
    z2 = stats.norm.ppf(0.95) ** 2  # with no discordant pair the score equation gives z^2 / (n + z^2)
    assert metrics.accuracy_lost_bound(0, 0, 10000) == pytest.approx(z2 / (10000 + z2))


def test_the_bound_solves_the_score_equation_of_the_numerically_maximized_likelihood() -> None:
    lower = -metrics.accuracy_lost_bound(1, 3, 44, confidence=0.975)
    upper = metrics.accuracy_lost_bound(3, 1, 44, confidence=0.975)
    for delta, sign in ((lower, 1), (upper, -1)):
        assert score(3, 1, 44, delta) == pytest.approx(sign * stats.norm.ppf(0.975), abs=1e-3)


def score(lost: int, gained: int, total: int, delta: float) -> float:
    """The score statistic with its nuisance parameter found by maximizing the trinomial likelihood numerically."""
    grid = np.linspace(max(0.0, -delta) + 1e-9, (1 - delta) / 2 - 1e-9, 200001)
    rest = total - lost - gained
    likelihood = lost * np.log(grid + delta) + gained * np.log(grid) + rest * np.log1p(-2 * grid - delta)
    nuisance = grid[int(np.nanargmax(likelihood))]
    return float((lost - gained - total * delta) / np.sqrt(total * (2 * nuisance + delta * (1 - delta))))


def test_the_gate_seldom_passes_a_file_that_loses_more_than_is_allowed() -> None:
    rng = np.random.default_rng(0)
    total, allowed = 10000, 0.002
    draws = rng.multinomial(total, [allowed + 0.001, 0.001, 1 - allowed - 0.002], size=2000)
    passed = [metrics.accuracy_lost_bound(int(lost), int(gained), total) <= allowed for lost, gained, _ in draws]
    assert np.mean(passed) <= 0.06


def test_per_class_scores_agree_with_their_definitions() -> None:
    matrix = metrics.confusion(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    scores = metrics.per_class(matrix, ["a", "b", "c"])
    assert scores["b"] == {"precision": pytest.approx(2 / 3), "recall": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3)}
    assert scores["c"] == {"precision": 0, "recall": 0, "f1": 0}


@pytest.mark.parametrize("drop", [0.001, 0.002, 0.01])
def test_so_many_images_are_needed_to_prove_a_drop_and_not_one_less(drop: float) -> None:
    needed = metrics.images_needed(drop)
    assert metrics.accuracy_lost_bound(0, 0, needed) <= drop < metrics.accuracy_lost_bound(0, 0, needed - 1)
