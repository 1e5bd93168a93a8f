"""Golden vectors: inputs whose probabilities a device must reproduce, chosen to expose differences.

A sample spread evenly over the labels shows that a file works at all. Differences between
processors show up elsewhere: where a file is furthest from the Keras model, where two answers are
nearly equal, and at the ends of the input's range, where sums of products are largest and would
saturate first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.targets import Target, Thresholds

SPREAD = 16  # spread evenly over the labels
CLOSE = 4  # nearest to a decision boundary
DIFFERENT = 1  # for each file, furthest from the Keras model
NO_LABEL = -1  # the label of a synthetic input


@dataclass(frozen=True)
class Golden:
    """Images (G, H, W, C), labels (G,), and the probabilities (G, K) of each format.

    The first `spread` are test images spread over the labels, then come test images chosen to
    expose differences, then synthetic inputs. If no test image may be passed on, all are synthetic.
    """

    images: Array
    labels: Array
    probabilities: dict[str, Array]
    spread: int

    @property
    def telling(self) -> Array:
        """The images that were chosen to expose a difference."""
        return self.images[self.spread :]


def choose(  # noqa: PLR0913
    target: Target,
    tests: tuple[Array, Array],
    reference: Array,
    probabilities: Mapping[str, Array],
    synthetic_inputs: Array,
    *,
    holds_from: Thresholds = None,
) -> Golden:
    """Chooses from test images (N, ...) with labels (N,) and the Keras model's `reference` (N, K).

    `probabilities` of each format begin with those of the test images and end with those of the
    synthetic inputs (E, ...).
    """
    (images, labels), extra = tests, len(synthetic_inputs)
    spread = spread_rows(target.strata(labels))
    of_tests = [answers[: len(labels)] for answers in probabilities.values()]
    margins = target.margins(reference, holds_from)
    telling = [row for row in telling_rows(margins, reference, of_tests) if row not in spread]
    rows = np.array([*spread, *telling], int)
    return Golden(
        images=np.concatenate([images[rows], synthetic_inputs]),
        labels=np.concatenate([labels[rows], unlabelled(labels, extra)]),
        probabilities={
            name: np.concatenate([answers[rows], answers[-extra:]])
            for name, answers in probabilities.items()
        },
        spread=len(spread),
    )


def unlabelled(labels: Array, count: int) -> Array:
    """The labels of `count` synthetic inputs: NO_LABEL, or NaN beside numbers."""
    value, dtype = (np.nan, np.float32) if labels.dtype.kind == "f" else (NO_LABEL, np.int64)
    return np.full((count, *labels.shape[1:]), value, dtype)


def recorded(labels: Array) -> Array:
    """Which golden vectors (G,) are test images, and not synthetic."""
    first = labels.reshape(len(labels), -1)[:, 0]
    result: Array = ~np.isnan(first) if labels.dtype.kind == "f" else first != NO_LABEL
    return result


def spread_rows(strata: Array) -> list[int]:
    """The rows, in ascending order, of images spread evenly over the strata (N,)."""
    by_stratum = np.argsort(strata, kind="stable")
    places = np.linspace(0, len(strata) - 1, min(SPREAD, len(strata)), dtype=int)
    return [int(row) for row in np.sort(by_stratum[places])]


def telling_rows(margins: Array, reference: Array, probabilities: list[Array]) -> list[int]:
    """The rows with the smallest margins (N,), then those where each file differs most.

    Each row appears once.
    """
    rows = np.argsort(margins, kind="stable")[:CLOSE].tolist()
    for answers in probabilities:
        differences = np.abs(answers - reference).max(1)
        rows += np.argsort(-differences, kind="stable")[:DIFFERENT].tolist()
    return list(dict.fromkeys(rows))
