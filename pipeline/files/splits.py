"""Splits the raw data into training, validation and test set."""

from __future__ import annotations

import numpy as np

from pipeline.config.params import Preprocess
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError


def split_off(
    labels: Array, count: int, order: str, seed: int, groups: Array | None = None
) -> tuple[Array, Array]:
    """Row numbers (kept, split off), both sorted, with `count` rows split off.

    `order` says which rows are kept: the first or the last ones, random ones, or random ones that
    keep the proportions of the classes (stratified). Rows of one of the `groups` (N,) stay
    together, so there may be somewhat more or fewer than `count`.
    """
    if groups is not None and len(np.unique(groups)) < len(groups):
        return _split_off_groups(labels, groups, count, order, seed)
    if not 0 < count < len(labels):
        raise UserError(
            f"{count} images cannot be split off from {len(labels)}; "
            f"expected 1 to {len(labels) - 1}"
        )
    if order == "first":
        rows = np.arange(len(labels))
        return rows[:-count], rows[-count:]
    if order == "last":
        rows = np.arange(len(labels))
        return rows[count:], rows[:count]
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    if order == "stratified":
        shuffled = shuffled[np.argsort(position_in_class(labels[shuffled]), kind="stable")]
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


def _split_off_groups(
    labels: Array, groups: Array, count: int, order: str, seed: int
) -> tuple[Array, Array]:
    if order in ("first", "last"):
        selected = _groups_at_the_end(groups, count, order)
    else:
        weights = labels if order == "stratified" else np.zeros_like(labels)
        selected = _choose_groups(weights, groups, count, seed)
    taken = np.isin(groups, selected)
    if not taken.any() or taken.all():
        raise UserError(
            f"the {len(labels):,} images are in {len(np.unique(groups)):,} groups, none of which "
            f"can be split off; expected groups smaller than {count:,} images, with each class in "
            "several of them"
        )
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def _groups_at_the_end(groups: Array, count: int, order: str) -> Array:
    """Groups with about `count` rows, at the end of the rows by their mean row, or at the start."""
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    place = np.bincount(group, np.arange(len(groups))) / sizes
    ranked = np.argsort(-place if order == "first" else place, kind="stable")
    number = np.searchsorted(sizes[ranked].cumsum(), count, side="right")
    return names[ranked[: max(number, 1)]]


def _choose_groups(labels: Array, groups: Array, count: int, seed: int) -> Array:
    """Groups with about `count` rows, in which the classes have their proportions.

    Large groups first, each is taken if it brings the counts of the classes nearer to the target,
    by chi-square, and leaves some rows of each class. The nearest one is taken in any case.
    """
    names, group = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (group, labels), 1)
    counts = counts[:, counts.any(0)]
    total = counts.sum(0)
    target = total * count / len(labels)
    possible = np.flatnonzero((total - counts >= 1).all(1))
    order = np.random.default_rng(seed).permutation(possible)
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    chosen, part = [], np.zeros(len(total))
    for index in order:
        more = part + counts[index]
        nearer = ((more - target) ** 2 / target).sum() < ((part - target) ** 2 / target).sum()
        if nearer and (total - more >= 1).all():
            chosen.append(index)
            part = more
    if not chosen and len(order):
        chosen = [order[((counts[order] - target) ** 2 / target).sum(1).argmin()]]
    return names[chosen]


def position_in_class(labels: Array) -> Array:
    """For each row the fraction of its class that precedes it.

    Any prefix of the rows in this order is therefore stratified.
    """
    position = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        position[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return position


def validation_count(validation: float, available: int) -> int:
    return int(validation) if validation >= 1 else round(validation * available)


def splits(
    train_labels: Array,
    test_fraction: float | None,
    settings: Preprocess,
    validation: Array | None = None,
    groups: Array | None = None,
) -> dict[str, Array]:
    """Row numbers of the raw training part for train and validation.

    If `test_fraction` is not None, the test set is split off from it too. `validation` are the rows
    that the data themselves name for it; otherwise they are split off. Rows of one of the `groups`
    (N,) are split off together.
    """
    numbers = np.arange(len(train_labels)) if groups is None else groups
    rows, result = np.arange(len(train_labels)), {}
    if validation is not None:
        rows = np.setdiff1d(rows, validation)
    if test_fraction is not None:
        count = round(test_fraction * len(rows))
        kept, split = split_off(
            train_labels[rows], count, "stratified", settings.seed, numbers[rows]
        )
        rows, result["test"] = rows[kept], rows[split]
    if settings.subset is not None:
        if settings.subset > len(rows):
            raise UserError(
                f"preprocess.subset is {settings.subset}; expected at most {len(rows)}, "
                "the number of training images"
            )
        rows = rows[: settings.subset]
    if validation is not None:
        return {"train": rows, "validation": validation, **result}
    count = validation_count(settings.validation, len(rows))
    kept, split = split_off(train_labels[rows], count, settings.order, settings.seed, numbers[rows])
    return {"train": rows[kept], "validation": rows[split], **result}
