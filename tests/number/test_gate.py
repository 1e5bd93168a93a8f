"""The gate on a model that answers with a number: errors, bounds and intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.files.artifacts import Array
from pipeline.reporting import statistics
from pipeline.verification import intervals, rejection
from serving import distributions, gate
from serving.comparison import NumberComparison

# Whichever test comes first makes the project, in this process.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]


def compared(added: Array, allowed: float) -> NumberComparison:
    """The gate on a file whose error is larger than its model's, which is 10, by `added` (N,)."""
    labels = np.zeros(len(added), np.float32)
    reference = np.full((len(added), 1), 10.0)
    return gate.compare_numbers(reference + added[:, None], reference, labels, allowed, len(labels))


@pytest.mark.parametrize(("risk", "total"), [(0.05, 2), (0.025, 10), (0.01, 1000), (0.05, 16000)])
def test_the_quantile_of_student_is_that_of_scipy(risk: float, total: int) -> None:
    assert distributions.t_quantile(risk, total) == pytest.approx(stats.t.ppf(1 - risk, total - 1))


def test_the_bound_of_the_error_added_covers_the_true_one_95_times_in_100() -> None:
    random = np.random.default_rng(0)

    normal = [compared(random.normal(0.1, 1, 200), 1.0).bound for _ in range(1000)]
    assert np.mean(np.array(normal) >= 0.1) == pytest.approx(0.95, abs=0.02)
    skewed = [compared(random.exponential(0.1, 500), 1.0).bound for _ in range(1000)]
    assert np.mean(np.array(skewed) >= 0.1) > 0.93


@pytest.mark.parametrize(
    ("mean", "allowed", "state"),
    [(0.0, 0.2, "proven"), (0.0, 0.05, "not shown"), (0.3, 0.2, "worse"), (-0.5, 0.01, "proven")],
)
def test_the_verdict_on_a_file_follows_from_the_error_that_it_adds(
    mean: float, allowed: float, state: str
) -> None:
    added = np.random.default_rng(1).normal(size=400)
    added = mean + (added - added.mean()) / added.std()
    comparison = compared(added, allowed)
    reason = statistics.reason(comparison, "degrees")
    assert comparison.state == state
    assert comparison.error == pytest.approx(10 + mean)
    assert comparison.keras_error == 10
    assert (reason is None) == (state == "proven")
    needed = comparison.images_needed
    assert (needed is None) == (state != "not shown")
    if reason and needed:
        enough = np.tile(added, math.ceil(needed / len(added)))
        assert compared(enough, allowed).state == "proven"
        assert f"{needed:,} images like these would show" in reason


def test_a_number_that_is_not_finite_is_worse_and_one_image_proves_nothing() -> None:
    broken = compared(np.array([0.0, np.nan, 0.0]), 1.0)
    assert broken.state == "worse"
    assert statistics.reason(broken, "degrees") == "some of its outputs are not finite numbers"
    assert compared(np.array([0.1]), 0.2).state == "not shown"


def test_another_processor_needs_the_golden_vectors_and_no_significant_error() -> None:
    fine, bad = compared(np.full(50, 0.01), 0.2), compared(np.full(50, 0.5), 0.2)
    assert gate.elsewhere(fine, 0.01, 0.1, "not shown") == "proven"
    assert gate.elsewhere(fine, 0.2, 0.1, "proven") == "worse"
    assert gate.elsewhere(bad, 0.01, 0.1, "proven") == "worse"


def test_the_interval_holds_the_promised_share_of_new_numbers_19_times_in_20() -> None:
    random = np.random.default_rng(0)
    widths = [rejection.for_coverage(-random.random(1000), 0.9) for _ in range(1000)]
    held = -np.array(widths, float)  # of uniform errors, that is their share within the width
    assert np.mean(held >= 0.9) == pytest.approx(0.96, abs=0.02)
    facts = intervals.covered(np.linspace(0, 1, 1000), 0.95, 0.9)
    assert (facts.inside, facts.state) == (950, "proven")
    assert intervals.covered(np.linspace(0, 1, 1001), 0.85, 0.9).state == "worse"
