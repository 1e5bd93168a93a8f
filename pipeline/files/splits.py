"""Splits the raw data into training, validation and test set."""

from __future__ import annotations

import numpy as np

from pipeline.config.params import Preprocess
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError


def split_off(labels: Array, count: int, order: str, seed: int) -> tuple[Array, Array]:
    """Row numbers (kept, split off), both sorted, with `count` rows split off.

    `order` says which rows are kept: the first or the last ones, random ones, or random ones that
    keep the proportions of the classes (stratified).
    """
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
) -> dict[str, Array]:
    """Row numbers of the raw training part for train and validation.

    If `test_fraction` is not None, the test set is split off from it too. `validation` are the rows
    that the data themselves name for it; otherwise they are split off.
    """
    rows, result = np.arange(len(train_labels)), {}
    if validation is not None:
        rows = np.setdiff1d(rows, validation)
    if test_fraction is not None:
        count = round(test_fraction * len(rows))
        kept, split = split_off(train_labels[rows], count, "stratified", settings.seed)
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
    kept, split = split_off(train_labels[rows], count, settings.order, settings.seed)
    return {"train": rows[kept], "validation": rows[split], **result}
