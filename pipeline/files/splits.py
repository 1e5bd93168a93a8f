"""Splits the raw data into training, validation and test set."""

from __future__ import annotations

import numpy as np

from pipeline.config.params import Preprocess
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError


def split_off(strata: Array, count: int, order: str, seed: int) -> tuple[Array, Array]:
    """Row numbers (kept, split off), both sorted, with `count` rows split off.

    `order` says which rows are kept: the first or the last ones, random ones, or random ones that
    keep the proportions of the strata (N,), such as the classes (stratified).
    """
    if not 0 < count < len(strata):
        raise UserError(
            f"{count} images cannot be split off from {len(strata)}; "
            f"expected 1 to {len(strata) - 1}"
        )
    if order == "first":
        rows = np.arange(len(strata))
        return rows[:-count], rows[-count:]
    if order == "last":
        rows = np.arange(len(strata))
        return rows[count:], rows[:count]
    shuffled = np.random.default_rng(seed).permutation(len(strata))
    if order == "stratified":
        shuffled = shuffled[np.argsort(_position_in_stratum(strata[shuffled]), kind="stable")]
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


def _position_in_stratum(strata: Array) -> Array:
    """For each row the fraction of its stratum that precedes it.

    Any prefix of the rows in this order is therefore stratified.
    """
    position = np.empty(len(strata))
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        position[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return position


def validation_count(validation: float, available: int) -> int:
    return int(validation) if validation >= 1 else round(validation * available)


def splits(strata: Array, test_fraction: float | None, settings: Preprocess) -> dict[str, Array]:
    """Row numbers of the raw training part, with these strata (N,), for train and validation.

    If `test_fraction` is not None, the test set is split off from it too.
    """
    rows = np.arange(len(strata))
    result = {}
    if test_fraction is not None:
        count = round(test_fraction * len(rows))
        kept, split = split_off(strata, count, "stratified", settings.seed)
        rows, result["test"] = rows[kept], rows[split]
    if settings.subset is not None:
        if settings.subset > len(rows):
            raise UserError(
                f"preprocess.subset is {settings.subset}; expected at most {len(rows)}, "
                "the number of training images"
            )
        rows = rows[: settings.subset]
    count = validation_count(settings.validation, len(rows))
    kept, split = split_off(strata[rows], count, settings.order, settings.seed)
    return {"train": rows[kept], "validation": rows[split], **result}
