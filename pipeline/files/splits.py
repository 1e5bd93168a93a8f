"""Which examples of the raw data are for training, validation and test."""

from __future__ import annotations

import numpy as np

from pipeline.config.params import Preprocess
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError


def split_off(labels: Array, count: int, order: str, seed: int) -> tuple[Array, Array]:
    """Row numbers (kept, split off), both sorted: `count` rows go, by class in proportion, at random, from the end or the beginning."""
    if not 0 < count < len(labels):
        raise UserError(
            f"{count} images cannot be split off from {len(labels)}; allowed is 1 to {len(labels) - 1}"
        )
    if order == "first":
        rows = np.arange(len(labels))
        return rows[:-count], rows[-count:]
    if order == "last":
        rows = np.arange(len(labels))
        return rows[count:], rows[:count]
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    if order == "stratified":
        shuffled = shuffled[np.argsort(_position_in_class(labels[shuffled]), kind="stable")]
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


def _position_in_class(labels: Array) -> Array:
    """For each row the fraction of its class that stands before it, so that any prefix in this order is stratified."""
    position = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        position[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return position


def validation_count(validation: float, available: int) -> int:
    return int(validation) if validation >= 1 else round(validation * available)


def splits(
    train_labels: Array, test_fraction: float | None, chosen: Preprocess
) -> dict[str, Array]:
    """Row numbers of the raw training part for train and validation, and for test where `test_fraction` must come from it."""
    rows = np.arange(len(train_labels))
    result = {}
    if test_fraction is not None:
        kept, split = split_off(
            train_labels, round(test_fraction * len(rows)), "stratified", chosen.seed
        )
        rows, result["test"] = rows[kept], rows[split]
    if chosen.subset is not None:
        if chosen.subset > len(rows):
            raise UserError(
                f"preprocess.subset is {chosen.subset}; there are only {len(rows)} training images"
            )
        rows = rows[: chosen.subset]
    count = validation_count(chosen.validation, len(rows))
    kept, split = split_off(train_labels[rows], count, chosen.order, chosen.seed)
    return {"train": rows[kept], "validation": rows[split], **result}
