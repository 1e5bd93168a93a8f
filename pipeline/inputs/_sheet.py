"""What a picture of all classes shows: of many classes some, evenly spaced, so it stays bounded."""

from __future__ import annotations

import numpy as np

from pipeline.files.artifacts import Array, Rows, row_bytes

EXAMPLES = (10, 5, 2, 1)  # of a class; divisors of the columns of a sheet
BYTES = 2**26  # of examples that are in memory at a time


def spread(count: int, most: int) -> Array:
    """At most `most` numbers below `count`, evenly spaced."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def title(text: str, shown: int, count: int) -> str:
    """A title that says if classes are left out."""
    return text if shown == count else f"{text}: {shown:,} of {count:,} classes, evenly spaced"


def examples(inputs: Rows, strata: Array, classes: int) -> tuple[Array, int, int]:
    """Rows of examples of at most `classes` classes, class by class; the classes shown, and all.

    Large inputs are fewer.
    """
    values = np.unique(strata)
    most = min(2 * classes, max(BYTES // row_bytes(inputs), 1))
    shown = values[spread(len(values), min(classes, most))]
    each = next(number for number in EXAMPLES if number * len(shown) <= most or number == 1)
    members = [np.flatnonzero(strata == value) for value in shown]
    rows = np.concatenate([part[spread(len(part), each)] for part in members])
    return rows, len(shown), len(values)
