"""Balanced accuracy and macro F1: their intervals, bounds and paired tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from pipeline.files.artifacts import Array
from pipeline.reporting import metrics
from pipeline.reporting.metrics import Judged
from serving import gate, metric
from tests.metric.conftest import OTHERS, UNEVEN, noisy, outputs


def test_the_metrics_are_those_of_scikit_learn() -> None:
    answers = noisy(np.random.default_rng(0), UNEVEN, [0.1, 0.3, 0.5])
    expected = {
        "accuracy": accuracy_score(UNEVEN, answers),
        "balanced_accuracy": balanced_accuracy_score(UNEVEN, answers),
        "macro_f1": f1_score(UNEVEN, answers, average="macro"),
    }
    for name, value in expected.items():
        assert metric.METRICS[name].value(answers, UNEVEN, 3) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("sizes", "rates"),
    [
        ([990, 10], [0.01, 0.2]),
        ([500, 300, 150, 50], [0.05, 0.1, 0.2, 0.3]),
        ([20] * 5, [0.01] * 5),
        ([300, 100, 30, 30, 14], [0.1, 0.2, 0.4, 0.5, 0.7]),
    ],
)
@pytest.mark.parametrize("name", OTHERS)
def test_the_interval_covers_the_true_metric_about_95_times_in_100(
    name: str, sizes: list[int], rates: list[float]
) -> None:
    generator, classes = np.random.default_rng(1), len(sizes)
    labels, many = np.repeat(range(classes), sizes), np.repeat(range(classes), np.array(sizes) * 99)
    true = metric.METRICS[name].value(noisy(generator, many, rates), many, classes)
    draws = 300
    covered = 0
    for _ in range(draws):
        low, high = metrics.interval(name, noisy(generator, labels, rates), labels, classes)
        covered += low <= true <= high
    assert covered >= 0.92 * draws  # three standard deviations below 95 %


@pytest.mark.parametrize(
    ("sizes", "lost", "gained"),
    [
        ([990, 10], [0.001, 0.1], [0.05, 0.05]),
        ([500, 300, 150, 50], [0.005] * 4, [0.01] * 4),
        ([500, 300, 150, 50], [0.0, 0.0, 0.0, 0.02], [0.0] * 4),
        ([100] * 10, [0.002] * 10, [0.002] * 10),
        ([20] * 5, [0.1] * 5, [0.1] * 5),
    ],
)
def test_the_bound_of_what_a_file_loses_covers_the_true_loss_at_least_95_times_in_100(
    sizes: list[int], lost: list[float], gained: list[float]
) -> None:
    generator, classes = np.random.default_rng(2), len(sizes)

    def pair(labels: Array) -> tuple[Array, Array]:
        reference = noisy(generator, labels, [0.15] * classes)
        right, chance = reference == labels, generator.random(len(labels))
        wrong = (labels + 1) % classes
        answers = np.where(right & (chance < np.array(lost)[labels]), wrong, reference)
        return np.where(~right & (chance < np.array(gained)[labels]), labels, answers), reference

    labels, many = (
        np.repeat(range(classes), sizes),
        np.repeat(range(classes), np.array(sizes) * 500),
    )
    true = {name: metric.loss(metric.METRICS[name], *pair(many), many, classes) for name in OTHERS}
    covered = dict.fromkeys(OTHERS, 0)
    for _ in range(150):
        answers, reference = pair(labels)
        for name in OTHERS:
            drawn = metric.loss(metric.METRICS[name], answers, reference, labels, classes)
            covered[name] += drawn.bounds(0.05)[1] >= true[name].total
    assert min(covered.values()) >= 0.95 * 150


def test_the_effects_of_the_images_add_up_to_the_loss() -> None:
    generator = np.random.default_rng(3)
    reference, answers = (noisy(generator, UNEVEN, rates) for rates in ([0.1] * 3, [0.11] * 3))
    for name, tolerance in (("accuracy", 1e-12), ("balanced_accuracy", 1e-12), ("macro_f1", 1e-3)):
        lost = metric.loss(metric.METRICS[name], answers, reference, UNEVEN, 3)
        assert lost.effects.sum() == pytest.approx(lost.total, abs=tolerance)


def test_with_even_classes_the_bound_is_nearly_that_of_accuracy() -> None:
    labels = np.repeat(range(10), 100)
    answers = labels.copy()
    pair = outputs(answers, 10), outputs(labels, 10)
    comparison = metric.compare("balanced_accuracy", pair, labels, 0.01)
    exact = gate.compare(*pair, labels, 0.01)
    assert comparison.bound == pytest.approx(exact.bound, rel=0.05)
    assert comparison.state == "proven"


@pytest.mark.parametrize("test", [metrics.paired_p_values, metrics.unpaired_p_values])
@pytest.mark.parametrize("name", OTHERS)
def test_equal_models_differ_significantly_no_more_often_than_by_chance(
    name: str, test: Callable[[Judged, Judged], tuple[float, float]]
) -> None:
    generator, significant, draws = np.random.default_rng(4), 0, 60
    for _ in range(draws):
        new, old = (
            Judged(name, noisy(generator, UNEVEN, [0.1, 0.2, 0.3]), UNEVEN, 3) for _ in range(2)
        )
        significant += test(new, old)[0] < 0.05
    assert significant <= 0.13 * draws  # three standard deviations above 5 %


def test_a_better_model_is_found_better() -> None:
    generator = np.random.default_rng(5)
    old = Judged("macro_f1", noisy(generator, UNEVEN, [0.1, 0.3, 0.6]), UNEVEN, 3)
    new = replace(old, answers=noisy(generator, UNEVEN, [0.1, 0.1, 0.1]))
    better, worse = metrics.paired_p_values(new, old)
    assert better < 0.001
    assert worse > 0.99
