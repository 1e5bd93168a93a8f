"""The reference for drift: a summary of the test set, small enough to travel in the model card.

It summarizes the test set because accuracy in the field is compared with test accuracy, so both
comparisons refer to the same images. The test set stays untouched by this: the summary is made
after the gates, and nothing is selected by it. The training set would not do, because the model
is more confident there. The validation set is a different sample: even the two halves of MNIST's
test set come from different writers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.targets import Recognition, Thresholds
from serving import inputs as kinds
from serving.reference import Histogram, Reference, Spread

# Bins of equal share, for the statistics of the inputs.
BINS = 20
# Fixed, because most probabilities of a good model are close to 1. The last edge lies below
# 255/256, the largest probability that int8 can express.
CONFIDENCE_EDGES = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98]


def summarize(
    target: Recognition,
    inputs: Array,
    probabilities: Array,
    labels: Array,
    holds_from: Thresholds = None,
) -> Reference:
    """Summarizes inputs (N, H, W, C) or (N, L), their probabilities (N, K) and labels (N, ...)."""
    statistics = statistics_by_name(inputs)
    return summarize_statistics(target, statistics, probabilities, labels, holds_from)


def statistics_by_name(inputs: Array) -> dict[str, Array]:
    """The statistics (N,) of inputs (N, ...)."""
    names = kinds.statistic_names(inputs.shape[1:], inputs.dtype.name)
    return dict(zip(names, kinds.statistics(inputs).T, strict=True))


def spread(inputs: Array, numbers: Array) -> Spread:
    """Summarizes inputs (N, ...) and the numbers (N,) that the model gives for them."""
    return Spread(
        inputs=in_equal_shares(statistics_by_name(inputs)),
        answers=histogram(numbers, equal_shares(numbers)),
    )


def summarize_statistics(
    target: Recognition,
    statistics: Mapping[str, Array],
    probabilities: Array,
    labels: Array,
    holds_from: Thresholds = None,
) -> Reference:
    """Summarizes statistics (N,) of inputs, probabilities (N, K) and labels (N, ...)."""
    counts = target.counts(
        target.answers(probabilities, holds_from), labels, probabilities.shape[1]
    )
    return Reference(
        inputs=in_equal_shares(statistics),
        confidence=histogram(target.confidences(probabilities, holds_from), CONFIDENCE_EDGES),
        predicted=counts.predicted.tolist(),
        images=counts.images.tolist(),
        right=counts.right.tolist(),
    )


def in_equal_shares(statistics: Mapping[str, Array]) -> dict[str, Histogram]:
    return {name: histogram(column, equal_shares(column)) for name, column in statistics.items()}


def equal_shares(values: Array) -> list[float]:
    """The edges of bins with equal shares of the values; fewer if values repeat."""
    quantiles = np.quantile(values.astype(np.float64), np.arange(1, BINS) / BINS)
    return sorted({float(f"{quantile:.6g}") for quantile in quantiles})


def histogram(values: Array, edges: list[float]) -> Histogram:
    return Histogram(edges, count(values, edges).tolist())


def count(values: Array, edges: list[float]) -> Array:
    """The number of values (N,) in each bin: (len(edges) + 1,)."""
    bins = np.searchsorted(np.asarray(edges), values, side="right")
    return np.bincount(bins, minlength=len(edges) + 1)


def median(histogram: Histogram) -> float | None:
    """The median, interpolated within its bin.

    None if it lies in the first or last bin, which are open on one side.
    """
    cumulative = np.cumsum(histogram.counts) / sum(histogram.counts)
    bin_ = int(np.searchsorted(cumulative, 0.5))
    if not 0 < bin_ < len(histogram.edges):
        return None
    below, through = cumulative[bin_ - 1], cumulative[bin_]
    left, right = histogram.edges[bin_ - 1], histogram.edges[bin_]
    return float(left + (0.5 - below) / (through - below) * (right - left))
