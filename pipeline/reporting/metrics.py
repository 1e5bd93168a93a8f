"""The intervals and the tests of the metric that `problem.metric` chooses.

serving/metric.py says what each metric is. Accuracy has its own exact methods: the interval of
Clopper and Pearson, and McNemar's test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pipeline.files.artifacts import Array, Description
from pipeline.reporting import statistics
from pipeline.reporting.measure import Measure
from serving.comparison import MetricComparison
from serving.metric import ACCURACY, METRICS, Counts, Metric, count, loss

__all__ = [
    "ACCURACY",
    "METRICS",
    "Judged",
    "by_accuracy",
    "interval",
    "judged",
    "lost_at_best",
    "paired_p_values",
    "unpaired_p_values",
    "with_intervals",
]

DRAWS = 10_000  # of a randomization test
AT_ONCE = 500  # draws in memory
TIE = 1e-12


@dataclass(frozen=True)
class Judged:
    """Answers (N,) to examples with labels (N,), under a metric."""

    name: str
    answers: Array
    labels: Array
    classes: int

    @property
    def metric(self) -> Metric:
        return METRICS[self.name]

    @property
    def value(self) -> float:
        return self.metric.value(self.answers, self.labels, self.classes)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        return interval(self.name, self.answers, self.labels, self.classes)

    @property
    def measure(self) -> Measure:
        return Measure(self.metric.words)

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: Array) -> Self:
        return replace(self, answers=self.answers[rows], labels=self.labels[rows])

    def joined(self, others: Sequence[Self]) -> Self:
        parts = [self, *others]
        answers, labels = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("answers", "labels")
        )
        return replace(self, answers=answers, labels=labels)

    def p_values(self, old: Self, *, paired: bool) -> tuple[float, float]:
        test = paired_p_values if paired else unpaired_p_values
        return test(self, old)


def by_accuracy(right: Array) -> Judged:
    """Answers of any target, of which it is known whether each is right (N,)."""
    return Judged(ACCURACY, right.astype(int), np.ones(len(right), int), 2)


def judged(name: str, answers: Array, labels: Array, description: Description) -> Judged:
    return Judged(name, answers, np.asarray(labels), len(description.class_names))


def interval(name: str, answers: Array, labels: Array, classes: int) -> tuple[float, float]:
    """The 95 % interval of a metric; the numbers of images of each class are taken as given.

    It comes from the exact interval of each recall, by recovering variances from their ends (Zou,
    Huang and Zhang, 2009, Computational Statistics and Data Analysis 53:1080-1085), as balanced
    accuracy is a linear function of the recalls. Macro F1 is so to first order, if the mistakes of
    a class go to the others as they did. A bootstrap would be too narrow where few are wrong.
    """
    counts = images, _, right = count(answers, labels, classes)
    if name == ACCURACY:
        return statistics.accuracy_interval(int(right.sum()), int(images.sum()))
    metric, present = METRICS[name], images > 0
    recalls = right[present] / images[present]
    ends = statistics.accuracy_intervals(right[present], images[present])
    weights = _weights(metric, counts, answers, labels)[present]
    value = float(metric.of_counts(counts))
    low, high = (float(np.sqrt(((weights * (recalls - end)) ** 2).sum())) for end in ends.T)
    return max(value - low, 0.0), min(value + high, 1.0)


@dataclass(frozen=True)
class WithIntervals(MetricComparison):
    """The 95 % intervals of a file and of the Keras model too."""

    interval: tuple[float, float]
    keras_interval: tuple[float, float]


def with_intervals(
    comparison: MetricComparison, pair: tuple[Array, Array], labels: Array
) -> WithIntervals:
    """Adds the intervals on the first images, those of `labels`; `pair` are both outputs."""
    own, keras = (
        interval(comparison.name, outputs[: len(labels)].argmax(1), labels, outputs.shape[1])
        for outputs in pair
    )
    return WithIntervals(**vars(comparison), interval=own, keras_interval=keras)


def _weights(metric: Metric, counts: Counts, answers: Array, labels: Array) -> Array:
    """How much the metric rises with the recall of each class (K,)."""
    images, _, right = counts
    of_right, of_answer = metric.slopes(counts)
    wrong = answers != labels
    in_place = np.bincount(labels[wrong], of_answer[answers[wrong]], len(images))
    elsewhere = np.where(right < images, in_place / np.maximum(images - right, 1), of_answer.mean())
    weights: Array = images * (of_right + of_answer - elsewhere)
    return weights


def paired_p_values(new: Judged, old: Judged) -> tuple[float, float]:
    """One-sided p-values that the new answers are better, and that they are worse.

    Of accuracy the exact McNemar test; else the randomization test: by chance alone the two answers
    to an example could be exchanged (Noreen, 1989; for F1, Yeh, 2000, COLING 947-953). The same
    examples in the same order.
    """
    if new.name == ACCURACY:
        return _mcnemar(new.answers == new.labels, old.answers == old.labels)
    triples, sizes = np.unique(
        np.stack([new.labels, new.answers, old.answers]), axis=1, return_counts=True
    )
    labels, first, second = triples
    generator = np.random.default_rng(0)

    def halves() -> Iterator[tuple[Array, Array]]:
        for _ in range(DRAWS // AT_ONCE):
            exchanged = generator.binomial(sizes, 0.5, (AT_ONCE, len(sizes)))
            stay = sizes - exchanged
            yield (
                _values(new, labels, [(first, stay), (second, exchanged)]),
                _values(new, labels, [(second, stay), (first, exchanged)]),
            )

    return _p_values(new.value - old.value, halves())


def unpaired_p_values(new: Judged, old: Judged) -> tuple[float, float]:
    """The same for answers to different examples, exchanged within each class.

    Of accuracy Fisher's exact test.
    """
    if new.name == ACCURACY:
        return _fisher(new.answers == new.labels, old.answers == old.labels)
    classes = new.classes
    cells = [
        np.bincount(part.labels * classes + part.answers, minlength=classes**2)
        for part in (new, old)
    ]
    used = np.flatnonzero(cells[0] + cells[1])
    ours, all_of = cells[0][used], (cells[0] + cells[1])[used]
    labels, given = used // classes, used % classes
    generator = np.random.default_rng(0)

    def halves() -> Iterator[tuple[Array, Array]]:
        for _ in range(DRAWS // AT_ONCE):
            drawn = np.empty((AT_ONCE, len(used)), np.int64)
            for label in np.unique(labels):
                rows = labels == label
                drawn[:, rows] = generator.multivariate_hypergeometric(
                    all_of[rows], int(ours[rows].sum()), AT_ONCE
                )
            yield (
                _values(new, labels, [(given, drawn)]),
                _values(new, labels, [(given, all_of - drawn)]),
            )

    return _p_values(new.value - old.value, halves())


def _mcnemar(new: Array, old: Array) -> tuple[float, float]:
    """By which answers are right (N,), of both models."""
    from scipy import stats

    gained, lost = int((new & ~old).sum()), int((old & ~new).sum())
    changed = max(gained + lost, 1)
    better, worse = (
        float(stats.binomtest(count, changed, alternative="greater").pvalue)
        for count in (gained, lost)
    )
    return better, worse


def _fisher(new: Array, old: Array) -> tuple[float, float]:
    from scipy import stats

    table = np.array([[right.sum(), (~right).sum()] for right in (new, old)])
    better, worse = (
        float(stats.fisher_exact(table, alternative=alternative).pvalue)
        for alternative in ("greater", "less")
    )
    return better, worse


def _values(like: Judged, labels: Array, parts: list[tuple[Array, Array]]) -> Array:
    """The metric (D,) of draws: `parts` are answers (C,), and how often (D, C) each is given."""
    known = np.eye(like.classes)
    images = sum(times @ known[labels] for _, times in parts)
    given = sum(times @ known[answers] for answers, times in parts)
    right = sum((times * (answers == labels)) @ known[labels] for answers, times in parts)
    counts: Counts = images, given, right
    values: Array = like.metric.of_counts(counts)
    return values


def _p_values(observed: float, halves: Iterator[tuple[Array, Array]]) -> tuple[float, float]:
    differences = np.concatenate([first - second for first, second in halves])
    better, worse = (
        (1 + int((sign * differences >= sign * observed - TIE).sum())) / (1 + len(differences))
        for sign in (1, -1)
    )
    return better, worse


def lost_at_best(name: str, of_class: Sequence[int]) -> float:
    """The upper 95 % bound of the loss if no image is lost; `of_class` counts them by class."""
    labels = np.repeat(np.arange(len(of_class)), of_class)
    return loss(METRICS[name], labels, labels, labels, len(of_class)).bounds(0.05)[1]
