"""What the field will be held against: a summary of the test set, small enough to travel in the model card.

Of the test set, because the field is compared with the test: both figures then speak of the same images. It was looked at
once, by evaluate; what is summarised here is read after both gates, and nothing is chosen by it. p-training would not do, as
the model is surer there, and validation is another draw: the two halves of MNIST's test set alone come from different writers.
"""

from __future__ import annotations

import numpy as np

from pipeline.files.artifacts import Array
from serving import input_statistics
from serving.model_card import Histogram, Reference

BINS = 20  # of equal share, for the statistics of the inputs
# Fixed, because most probabilities of a good model are close to 1. The last one lies below what int8 can say, 255/256.
CONFIDENCE_EDGES = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98]


def of(inputs: Array, probabilities: Array, labels: Array) -> Reference:
    """The summary of inputs (N, H, W, C) or (N, L), their probabilities (N, K) and labels (N,)."""
    return summary(
        input_statistics.compute(inputs),
        input_statistics.names(inputs.shape[1:], inputs.dtype.name),
        probabilities,
        labels,
    )


def summary(
    measured: Array, names: tuple[str, ...], probabilities: Array, labels: Array
) -> Reference:
    """The same from the statistics (N, S) of the inputs."""
    predictions, num_classes = probabilities.argmax(1), probabilities.shape[1]
    return Reference(
        inputs={
            name: histogram(column, equal_shares(column))
            for name, column in zip(names, measured.T, strict=True)
        },
        confidence=histogram(probabilities.max(1), CONFIDENCE_EDGES),
        predicted=np.bincount(predictions, minlength=num_classes).tolist(),
        images=np.bincount(labels, minlength=num_classes).tolist(),
        right=np.bincount(labels[predictions == labels], minlength=num_classes).tolist(),
    )


def equal_shares(values: Array) -> list[float]:
    """The edges between which equal shares of the values lie; fewer where values repeat."""
    quantiles = np.quantile(values.astype(np.float64), np.arange(1, BINS) / BINS)
    return sorted({float(f"{quantile:.6g}") for quantile in quantiles})


def histogram(values: Array, edges: list[float]) -> Histogram:
    return Histogram(edges, count(values, edges).tolist())


def count(values: Array, edges: list[float]) -> Array:
    """How many of the values (N,) lie in each of the bins (len(edges) + 1,)."""
    return np.bincount(
        np.searchsorted(np.asarray(edges), values, side="right"), minlength=len(edges) + 1
    )


def median(histogram: Histogram) -> float | None:
    """The median, within a bin by interpolation; None where it lies in the first or last bin, of which one edge is unknown."""
    reached = np.cumsum(histogram.counts) / sum(histogram.counts)
    row = int(np.searchsorted(reached, 0.5))
    if not 0 < row < len(histogram.edges):
        return None
    low, high = reached[row - 1], reached[row]
    return float(
        histogram.edges[row - 1]
        + (0.5 - low) / (high - low) * (histogram.edges[row] - histogram.edges[row - 1])
    )
