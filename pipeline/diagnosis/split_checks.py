"""What the data themselves tell of a split, where learning curves can only hint: copies that leak from p-training into
validation, and validation images that do not look like those of p-training.

Both are tests against the hypothesis that the two parts were drawn alike, so a lucky split raises no alarm.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.digests import of_examples

QUERIES = 1000  # images of either part that are looked at
GRID = 14  # images are compared by the means of GRID x GRID blocks, which noise and compression hardly move
NEAREST = 0.01  # pairs nearer than this fraction of p-training's own nearest pairs count as copies
FEWEST = 20  # images in either part; fewer teach a classifier nothing
SEED = 0


@dataclass(frozen=True)
class Evidence:
    """Counts of images or rows of ids, and two tests. Shares are fractions 0 to 1."""

    train_images: int
    validation_images: int
    copied: float  # share of validation that has a copy, of images exact or nearly, in p-training, beyond what is natural
    copied_p_value: float
    told_apart: float  # area under the ROC curve of a classifier that tells validation images from p-training ones; 0.5 is chance, or ids
    told_apart_p_value: float


def gather(train: Array, validation: Array) -> Evidence:
    """Images (N, H, W, C) uint8, or ids (N, L) int32, of p-training and of validation; ids are searched for exact copies alone."""
    if train.ndim == 2:
        return Evidence(len(train), len(validation), *_copied_exactly(train, validation), 0.5, 1.0)
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.permutation(len(train))[:QUERIES])
    asked = np.sort(rng.permutation(len(validation))[:QUERIES])
    drawn = np.sort(rng.permutation(len(train))[: min(len(chosen), len(asked))])
    with ThreadPoolExecutor() as pool:
        copied = pool.submit(
            lambda: _copied(blocks(train), chosen, blocks(np.asarray(validation[asked])))
        )
        told_apart = pool.submit(_told_apart, train[drawn], validation[asked])
        return Evidence(len(train), len(validation), *copied.result(), *told_apart.result())


def blocks(images: Array) -> Array:
    """The means of at most GRID x GRID blocks of each image -> (N, D) float32, 0 to 1."""
    height, width = (max(size // GRID, 1) for size in images.shape[1:3])
    rows, columns = images.shape[1] // height, images.shape[2] // width
    means = []
    for start, stop in artifacts.chunks(len(images)):
        cut = np.asarray(images[start:stop, : rows * height, : columns * width])
        sums = cut.reshape(len(cut), rows, height, columns, width, -1).sum((2, 4), dtype=np.uint32)
        means.append(sums.reshape(len(cut), -1).astype(np.float32) / (255 * height * width))
    return np.concatenate(means)


def _copied(train: Array, chosen: Array, validation: Array) -> tuple[float, float]:
    """The share of copies beyond what is natural, and its p-value.

    Natural is how near the images of p-training lie to each other: a set with many alike images has near pairs anyway.
    """
    within = _nearest(train[chosen], train, itself=chosen)
    across = _nearest(validation, train)
    limit = np.quantile(within, NEAREST)
    return _beyond(across <= limit, within <= limit)


def _copied_exactly(train: Array, validation: Array) -> tuple[float, float]:
    """The same of rows of ids (N, L), where natural are those of p-training that stand there more than once."""
    within, across = of_examples(train), of_examples(validation)
    values, counts = np.unique(within, return_counts=True)
    return _beyond(np.isin(across, values), np.isin(within, values[counts > 1]))


def _beyond(found: Array, natural: Array) -> tuple[float, float]:
    """By how much the share of `found` (N,) is above that of `natural` (M,), and the p-value of Fisher's exact test."""
    from scipy import stats

    table = np.array([[part.sum(), len(part) - part.sum()] for part in (found, natural)])
    return max(0.0, float(found.mean() - natural.mean())), float(
        stats.fisher_exact(table, alternative="greater").pvalue
    )


def _nearest(queries: Array, train: Array, itself: Array | None = None) -> Array:
    """The distance of each query (Q, D) to the nearest row of `train` (N, D); `itself` are the queries' own rows there."""
    squares = (train * train).sum(1)
    result = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), 100):
        part = slice(start, start + 100)
        distances = (
            squares - 2 * queries[part] @ train.T + (queries[part] ** 2).sum(1, keepdims=True)
        )
        if itself is not None:
            distances[np.arange(len(distances)), itself[part]] = np.inf
        result[part] = np.sqrt(np.maximum(distances.min(1), 0))
    return result.round(4)


def _told_apart(train: Array, validation: Array) -> tuple[float, float]:
    """A classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017): the out-of-bag area under the ROC curve of a random
    forest that is to tell the two parts from each other, and the one-sided p-value of Mann and Whitney."""
    from scipy import stats
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier

    if len(train) < FEWEST:
        return 0.5, 1.0
    images = np.concatenate([train, validation])
    part = np.repeat([0, 1], [len(train), len(validation)])
    features = blocks(images)
    components = min(16, *features.shape)
    reduced = PCA(components, svd_solver="randomized", random_state=SEED).fit_transform(features)
    described = np.column_stack([reduced, features.mean(1), features.std(1), roughness(images)])
    forest = RandomForestClassifier(100, min_samples_leaf=5, oob_score=True, random_state=SEED)
    scores = forest.fit(described, part).oob_decision_function_[:, 1]
    test = stats.mannwhitneyu(scores[part == 1], scores[part == 0], alternative="greater")
    return float(test.statistic / (len(train) * len(validation))), float(test.pvalue)


def roughness(images: Array) -> Array:
    """The mean difference of neighbouring pixels (N,), which noise raises and blur lowers."""
    steps: Array = np.abs(np.diff(images.astype(np.int16), axis=2)).mean((1, 2, 3))
    return steps
