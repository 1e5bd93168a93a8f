"""The statistics of the field report: intervals, labels needed, tests for drift."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipeline.bundle import drift_reference
from pipeline.field import comparison, numbers
from pipeline.field.comparison import Mean
from pipeline.files.reports.field import FieldError
from serving import inputs


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """Table II, method 10: 56 of 70 and 48 of 80, 9 of 10 and 3 of 10, 10 of 10 and 0 of 20."""
    for counts, bounds in (
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
    ):
        assert comparison.newcombe(*counts) == pytest.approx(bounds, abs=5e-5)


def test_the_suggested_number_of_labels_leads_to_a_verdict_four_times_in_five() -> None:
    test_right, test_images = 9960, 10000
    needed = comparison.labels_needed(0.996, test_right, test_images, 0.01)
    assert needed
    dice = np.random.default_rng(0)

    def settled(count: int) -> float:
        answers = dice.binomial(count, 0.996, 2000).tolist()
        intervals = {
            right: comparison.newcombe(right, count, test_right, test_images)
            for right in set(answers)
        }
        return float(
            np.mean([intervals[right][0] > -0.01 or intervals[right][1] < 0 for right in answers])
        )

    assert settled(needed) >= 0.78
    assert settled(needed // 2) < 0.78
    assert comparison.labels_needed(0.9, 90, 100, 0.01) is None, (
        "100 test images cannot settle one point"
    )


def test_p_values_are_adjusted_as_by_holm() -> None:
    """Four of the p-values in Wright, 1992, Biometrics 48:1005-1013; adjusted by hand."""
    assert comparison.holm([0.02, 0.01, 0.09, 0.022]) == pytest.approx([0.06, 0.04, 0.09, 0.06])
    assert comparison.holm([0.6, 0.7]) == [1.0, 1.0]


def test_a_binned_test_never_alarms_earlier_than_one_on_the_values() -> None:
    random = np.random.default_rng(1)
    values, before = random.normal(0.4, 1, 300), random.normal(0, 1, 10000)
    edges = drift_reference.equal_shares(before)
    p_value = comparison.kolmogorov_smirnov(
        drift_reference.count(values, edges), drift_reference.count(before, edges)
    )
    assert stats.ks_2samp(values, before, method="asymp").pvalue <= p_value < 0.01


def test_the_least_drift_is_the_smallest_that_the_test_detects() -> None:
    before = np.full(20, 500)
    least = comparison.least_distance(100, 10000, 0.001)
    # A twentieth of those that move are already in the bin that they move to.
    for share, shows in ((least - 0.01, False), (least / 0.95 + 0.01, True)):
        moved = 100 * (1 - share) * before / before.sum()
        moved[-1] += 100 * share
        assert (comparison.kolmogorov_smirnov(moved, before) < 0.001) == shows


def test_the_median_of_a_histogram_is_that_of_its_values() -> None:
    values = np.random.default_rng(2).normal(3, 1, 10000)
    histogram = drift_reference.histogram(values, drift_reference.equal_shares(values))
    assert drift_reference.median(histogram) == pytest.approx(np.median(values), abs=1e-4)
    assert drift_reference.median(drift_reference.histogram(values, [9.0])) is None


def test_a_rare_class_is_noticed_when_it_becomes_frequent() -> None:
    before = np.array([1000, 1000, 3, 2, 1])
    assert comparison.class_shares(np.array([50, 48, 0, 0, 0]), before) > 0.5
    assert comparison.class_shares(np.array([50, 40, 0, 0, 10]), before) < 1e-6
    assert comparison.class_shares(np.array([3, 0, 0, 0, 0]), np.array([9, 0, 0, 0, 0])) == 1.0


def test_statistics_describe_position_and_shape_of_the_ink() -> None:
    image = np.zeros((1, 20, 10, 3), np.uint8)
    image[0, 4:8, 5:9, 0] = 240
    measured = dict(
        zip(
            inputs.statistic_names(image.shape[1:], "uint8"),
            inputs.statistics(image)[0].tolist(),
            strict=True,
        )
    )
    assert measured["brightness"] == pytest.approx(80 * 16 / 200)
    assert (measured["row"], measured["column"]) == pytest.approx((6 / 20, 7 / 10))
    assert (measured["height"], measured["width"]) == pytest.approx(
        (np.sqrt(1.25) / 20, np.sqrt(1.25) / 10)
    )
    assert measured["slant"] == pytest.approx(0, abs=1e-6)
    assert measured["colour"] == pytest.approx(240 * 16 / 200)
    for blank in (np.zeros_like(image), np.full_like(image, 255), np.zeros((1, 1, 1, 1), np.uint8)):
        assert np.isfinite(inputs.statistics(blank)).all()
    ids = np.array([[3, 5, 0, 0], [0, 0, 0, 0]], np.int32)
    assert inputs.statistics(ids).tolist() == [[2, 4, 1], [0, 0, 0]]


def test_welch_is_that_of_scipy_and_labels_needed_lead_to_a_verdict() -> None:
    random = np.random.default_rng(0)
    field, test = np.abs(random.normal(0, 2, 40)), np.abs(random.normal(0, 1, 300))
    means = [Mean(x.mean(), x.std(ddof=1) / len(x) ** 0.5, len(x)) for x in (field, test)]
    expected = stats.ttest_ind(field, test, equal_var=False)
    difference = comparison.welch(*means)
    assert difference.p_value == pytest.approx(expected.pvalue)
    assert difference.interval == pytest.approx(tuple(expected.confidence_interval()))
    allowed = 0.2
    needed = comparison.labels_for_error(means[1].standard_error * 300**0.5, means[1], allowed)
    assert needed
    before = Mean(float((2 / np.pi) ** 0.5), means[1].standard_error, 300)
    drawn = np.abs(random.normal(0, 1, (200, needed)))
    trials = [numbers.error(errors, before, allowed) for errors in drawn]
    shown = np.mean([trial.verdict != "open" for trial in trials])
    assert shown > 0.6


def test_a_few_or_equal_errors_are_no_verdict_on_numbers() -> None:
    test = Mean(1.0, 0.05, 400)  # so a deviation of 1
    for count, size, verdict in (
        (1, 0.0, "open"),
        (9, 0.0, "open"),
        (9, 9.0, "open"),
        (10, 1.0, "open"),
        (10, 9.0, "worse"),
        (400, 1.0, "holds"),
    ):
        error = numbers.error(np.full(count, size), test, 0.2)
        assert isinstance(error, FieldError)
        assert (error.verdict, count, size) == (verdict, count, size)
        assert verdict != "open" or error.labels_needed is None or error.labels_needed >= 10
    spread = numbers.error(np.array([0.0, 0.1, 3.5] * 2), test, 0.2)
    assert isinstance(spread, FieldError)
    assert spread.interval[0] == 0, "no mean absolute error is below 0"
    assert spread.difference_interval[0] < -1
