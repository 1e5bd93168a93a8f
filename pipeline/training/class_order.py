"""In which order a model of somebody else has its classes, by its answers to labelled examples."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from pipeline.files.artifacts import Array

CERTAIN = 0.001  # p-value of a paired test


def other_order(answers: Array, labels: Array, num_classes: int) -> list[int] | None:
    """The class of each output, if another order than the dataset's clearly explains the answers.

    The order is fitted on one half of the examples and tested on the other.
    """
    fitted = assignment(answers[::2], labels[::2], num_classes)
    others, expected = answers[1::2], labels[1::2]
    plain, matched = others == expected, np.asarray(fitted)[others] == expected
    recalls = [matched[expected == label].mean() for label in np.unique(expected)]
    least = (1 + 1 / num_classes) / 2  # half way from guessing to perfect
    gains = matched.sum() > plain.sum() and p_value(matched, plain) < CERTAIN
    if not (gains and np.mean(recalls) >= least):
        return None
    return assignment(answers, labels, num_classes)


def assignment(answers: Array, labels: Array, num_classes: int) -> list[int]:
    """A class for each output such that the most answers are right; among equals, its own."""
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (answers, labels), 1)
    own = np.eye(num_classes) / (2 * num_classes)
    return [int(label) for label in optimize.linear_sum_assignment(-counts - own)[1]]


def p_value(right: Array, other: Array) -> float:
    """McNemar's exact test of answers to the same examples."""
    lost, gained = int((right & ~other).sum()), int((other & ~right).sum())
    return float(stats.binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0
