"""What a model of one class of several is judged by: accuracy, balanced accuracy or macro F1.

A metric is a function of three counts for each class: its images, the answers that name it, and the
right ones among them. Only classes with an image count. So that a file can be judged image by
image, `slopes` say how much the answer to each image adds to the metric; for macro F1, which is not
a sum over images, that holds to first order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Callable, Optional, Sequence, Tuple

import numpy as np

from serving import gate
from serving.comparison import AnyComparison, MetricComparison, NumberComparison
from serving.distributions import fewest
from serving.gate import CERTAIN, MOST_IMAGES, NOT_SHOWN, PROVEN, SIGNIFICANT, WORSE

ACCURACY = "accuracy"
ROUNDING = 1e-12
LARGE = 1000.0  # from this shape on, a gamma quantile is that of Wilson and Hilferty (1931)

Counts = Tuple[Any, Any, Any]  # images, answers and right answers of each class, (..., K) each


@dataclass(frozen=True)
class Metric:
    """`of_counts` gives the metric (...), `slopes` what a right answer and any answer add to it."""

    words: str
    of_counts: Callable[[Counts], Any]
    slopes: Callable[[Counts], Tuple[Any, Any]]

    def value(self, answers: Any, labels: Any, classes: int) -> float:
        return float(self.of_counts(count(answers, labels, classes)))


def count(answers: Any, labels: Any, classes: int) -> Counts:
    """The counts of answers (N,) and labels (N,)."""
    parts = labels, answers, labels[answers == labels]
    images, given, right = (np.bincount(part, minlength=classes) for part in parts)
    return images, given, right


def _mean(values: Any, images: Any) -> Any:
    """The mean of values (..., K) over the classes with images."""
    present = images > 0
    return np.where(present, values, 0.0).sum(-1) / present.sum(-1)


def _accuracy(counts: Counts) -> Any:
    images, _, right = counts
    return right.sum(-1) / images.sum(-1)


def _accuracy_slopes(counts: Counts) -> Tuple[Any, Any]:
    images = counts[0]
    return np.full(images.shape, 1 / images.sum()), np.zeros(images.shape)


def _balanced(counts: Counts) -> Any:
    images, _, right = counts
    return _mean(right / np.maximum(images, 1), images)


def _balanced_slopes(counts: Counts) -> Tuple[Any, Any]:
    images = counts[0]
    weights = (images > 0) / (np.maximum(images, 1) * (images > 0).sum())
    return weights, np.zeros(images.shape)


def _macro_f1(counts: Counts) -> Any:
    images, given, right = counts
    return _mean(2 * right / np.maximum(images + given, 1), images)


def _macro_f1_slopes(counts: Counts) -> Tuple[Any, Any]:
    images, given, right = counts
    sums, present = np.maximum(images + given, 1), images > 0
    of_right = 2 * present / (sums * present.sum())
    return of_right, -of_right * right / sums


METRICS = {
    ACCURACY: Metric("accuracy", _accuracy, _accuracy_slopes),
    "balanced_accuracy": Metric("balanced accuracy", _balanced, _balanced_slopes),
    "macro_f1": Metric("macro F1", _macro_f1, _macro_f1_slopes),
}


@dataclass(frozen=True)
class Loss:
    """What a file loses of a metric: the `effects` (N,) of its answers add up to it.

    `largest` is the most that one answer can take.
    """

    total: float
    effects: Any
    largest: float

    def bounds(self, risk: float, times: float = 1.0) -> Tuple[float, float]:
        """The one-sided lower and upper bounds at this risk, with `times` as many images.

        What is lost and what is gained are weighted sums of counts, whose bounds are the gamma
        intervals of Fay and Feuer (1997, Statistics in Medicine 16:791-801). Those of the
        difference follow from both (Zou and Donner, 2008, Statistics in Medicine 27:1693-1702).
        """
        parts = [np.maximum(sign * self.effects, 0.0) for sign in (1, -1)]
        lost, gained = (float(part.sum()) for part in parts)
        ends = [_gamma_interval(part, self.largest, risk, times) for part in parts]
        (lost_low, lost_high), (gained_low, gained_high) = ends
        return (
            self.total - math.hypot(lost - lost_low, gained_high - gained),
            self.total + math.hypot(lost_high - lost, gained - gained_low),
        )


def loss(metric: Metric, answers: Any, reference: Any, labels: Any, classes: int) -> Loss:
    """What answers (N,) lose against those of the reference (N,) on the same images."""
    of_file, of_reference = (count(part, labels, classes) for part in (answers, reference))
    middle = tuple((a + b) / 2 for a, b in zip(of_file, of_reference))
    of_right, of_answer = metric.slopes(middle)

    def credit(given: Any) -> Any:
        return of_right[labels] * (given == labels) + of_answer[given]

    total = float(metric.of_counts(of_reference) - metric.of_counts(of_file))
    largest = float((of_right + of_answer).max() - of_answer.min())
    return Loss(total, credit(reference) - credit(answers), largest)


def images_needed(file_loss: Loss, allowed: float, most: int) -> Optional[int]:
    """How many images with such answers would show at most the allowed loss; None if none."""
    total = len(file_loss.effects)

    def shown(images: int) -> bool:
        return file_loss.bounds(0.05, images / total)[1] <= allowed

    return fewest(shown, total, most)


def _gamma_interval(parts: Any, largest: float, risk: float, times: float) -> Tuple[float, float]:
    """The one-sided bounds of a weighted sum of Poisson counts, of which `parts` are the terms."""
    total, variance = float(parts.sum()), float((parts**2).sum()) / times
    low, more = 0.0, largest / times
    if variance > 0:
        low = variance / total * _gamma_quantile(total**2 / variance, risk)
    scale = (variance + more**2) / (total + more)
    return low, scale * _gamma_quantile((total + more) / scale, 1 - risk)


def _gamma_quantile(shape: float, probability: float) -> float:
    if shape > LARGE:
        from statistics import NormalDist  # takes memory, and no prediction needs it

        z = NormalDist().inv_cdf(probability)
        return shape * (1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3
    low, high = 0.0, shape + 20 + 10 * math.sqrt(shape)
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        below = _gamma_share(shape, middle) < probability
        low, high = (middle, high) if below else (low, middle)
    return high


def _gamma_share(shape: float, x: float) -> float:
    """The regularized lower incomplete gamma function (DLMF 8.7.1)."""
    term = total = 1 / shape
    step = shape
    while term > 1e-16 * total:
        step += 1
        term *= x / step
        total += term
    return total * math.exp(shape * math.log(x) - x - math.lgamma(shape)) if x > 0 else 0.0


def compare(  # noqa: PLR0913
    name: str,
    outputs: Tuple[Any, Any],
    labels: Any,
    allowed: float,
    test_images: Optional[int] = None,
    *,
    holds_from: Optional[Sequence[float]] = None,
) -> AnyComparison:
    """As `gate.compare`, judged by the metric of this name, whose figures it holds.

    `outputs` are those of the file and of the reference.
    `lost_at_least` is the one-sided lower 99 % bound of what is lost, `largest_effect` the most
    that one image can take.
    """
    probabilities, reference = outputs
    comparison = gate.compare(
        probabilities, reference, labels, allowed, test_images, holds_from=holds_from
    )
    if name == ACCURACY or isinstance(comparison, NumberComparison):
        return comparison
    measure, classes, tested = METRICS[name], np.shape(reference)[1], comparison.test_images
    answers, expected = probabilities.argmax(1), reference.argmax(1)
    lost = loss(measure, answers, expected, labels, classes)
    state = _verdict(lost, allowed) if np.isfinite(probabilities).all() else WORSE
    needed = images_needed(lost, allowed, MOST_IMAGES) if state == NOT_SHOWN else None
    figures = MetricComparison(
        name=name,
        value=measure.value(answers[:tested], labels[:tested], classes),
        keras_value=measure.value(expected[:tested], labels[:tested], classes),
        lost=lost.total,
        lost_bound=lost.bounds(SIGNIFICANT)[1],
        lost_at_least=lost.bounds(CERTAIN)[0],
        largest_effect=lost.largest,
    )
    return replace(comparison, state=state, metric=figures, images_needed=needed)


def _verdict(lost: Loss, allowed: float) -> str:
    """As `gate.verdict`: a single image never makes a file worse."""
    if lost.bounds(SIGNIFICANT)[1] <= allowed:
        return PROVEN
    significant = lost.bounds(SIGNIFICANT / 2)[0] > 0
    return WORSE if significant or lost.total > max(lost.largest, allowed) + ROUNDING else NOT_SHOWN
