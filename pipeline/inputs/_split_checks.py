"""Checks of a split on the data themselves, where learning curves can only hint.

They find copies of training examples in validation, and validation examples that do not look like
training examples. Both are tests of the hypothesis that the two parts come from one distribution,
so a split that is odd by chance raises no alarm.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.digests import of_examples

QUERIES = 1000  # examples of each part that are compared
NEAREST = 0.01  # quantile of nearest distances within the training set; nearer pairs are copies
FEWEST = 20  # examples in each part; a classifier learns nothing from fewer
SEED = 0

Features = tuple[Array, Array]  # of inputs: features (N, D), roughness (N,)


def queries(train: int, validation: int) -> tuple[Array, Array, Array]:
    """Rows of the training set, rows of validation, and as many rows of the training set again.

    `train` and `validation` are the numbers of examples.
    """
    rng = np.random.default_rng(SEED)
    train_rows = np.sort(rng.permutation(train)[:QUERIES])
    rows = np.sort(rng.permutation(validation)[:QUERIES])
    return train_rows, rows, np.sort(rng.permutation(train)[: min(len(train_rows), len(rows))])


def copied(
    train: Iterable[Array], queries: Array, train_rows: Array, validation: Array
) -> tuple[float, float]:
    """The share of copies beyond that within the training set, and its p-value.

    Both parts are features (N, D), and `train` yields those of the training set a part at a time. A
    set of many similar examples has near pairs anyway, so the distances from `train_rows`, whose
    features are `queries`, to the rest of the training set are the reference.
    """
    within, across = (np.full(len(part), np.inf, np.float32) for part in (queries, validation))
    start = 0
    for part in train:
        within = np.minimum(within, _nearest(queries, part, own_rows=train_rows - start))
        across = np.minimum(across, _nearest(validation, part))
        start += len(part)
    limit = np.quantile(within, NEAREST)
    return _excess(across <= limit, within <= limit)


def copied_exactly(train: Array, validation: Array) -> tuple[float, float]:
    """The same for exact copies; the reference is the repeated rows of the training set."""
    within, across = of_examples(train), of_examples(validation)
    values, counts = np.unique(within, return_counts=True)
    return _excess(np.isin(across, values), np.isin(within, values[counts > 1]))


def _excess(copies: Array, reference: Array) -> tuple[float, float]:
    """By how much the share of `copies` (N,) exceeds that of `reference` (M,), both boolean.

    Also the p-value of Fisher's exact test.
    """
    from scipy import stats

    table = np.array([[part.sum(), len(part) - part.sum()] for part in (copies, reference)])
    p_value = float(stats.fisher_exact(table, alternative="greater").pvalue)
    return max(0.0, float(copies.mean() - reference.mean())), p_value


def _nearest(queries: Array, train: Array, own_rows: Array | None = None) -> Array:
    """The distance of each query (Q, D) to the nearest row of `train` (N, D).

    `own_rows` are the rows in `train` of the queries themselves, which do not count; there are
    others that are not in `train`.
    """
    squares = (train * train).sum(1)
    result = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), 100):
        part = slice(start, start + 100)
        distances = -2 * queries[part] @ train.T
        distances += squares
        if own_rows is not None:
            here = np.flatnonzero((own_rows[part] >= 0) & (own_rows[part] < len(train)))
            distances[here, own_rows[part][here]] = np.inf
        result[part] = distances.min(1) + (queries[part] ** 2).sum(1)
    result = np.sqrt(np.maximum(result, 0))
    return result.round(4)


def told_apart(train: Features, validation: Features) -> tuple[float, float]:
    """A classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017).

    Returns the out-of-bag area under the ROC curve of a random forest that separates the two
    parts, and the one-sided p-value of Mann and Whitney.
    """
    from scipy import stats
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier

    sizes = [len(roughness) for _, roughness in (train, validation)]
    if sizes[0] < FEWEST:
        return 0.5, 1.0
    part = np.repeat([0, 1], sizes)
    features, roughness = (np.concatenate(pair) for pair in zip(train, validation, strict=True))
    components = min(16, *features.shape)
    reduced = PCA(components, svd_solver="randomized", random_state=SEED).fit_transform(features)
    columns = np.column_stack([reduced, features.mean(1), features.std(1), roughness])
    forest = RandomForestClassifier(100, min_samples_leaf=5, oob_score=True, random_state=SEED)
    scores = forest.fit(columns, part).oob_decision_function_[:, 1]
    test = stats.mannwhitneyu(scores[part == 1], scores[part == 0], alternative="greater")
    return float(test.statistic / (sizes[0] * sizes[1])), float(test.pvalue)
