"""Classes that a model may tell apart by how they were recorded: by their size or length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

FEWEST = 5  # examples of a class that say what the others are like
FACTOR = 2  # between the largest of one class and the least of another
SHARP = 160  # pixels of the shorter side that models hardly tell from more


class Unlike(NamedTuple):
    """Two classes, the largest value of the one and the least of the other, but for strays."""

    small: str
    largest: float
    large: str
    least: float


def find(pairs: Iterable[tuple[str, float]]) -> Unlike | None:
    """The two classes that differ most, if by FACTOR; `pairs` are classes and values."""
    values = defaultdict[str, list[float]](list)
    for label, value in pairs:
        values[label].append(value)
    ends = {
        label: (
            float(np.quantile(own, 0.05, method="lower")),
            float(np.quantile(own, 0.95, method="higher")),
        )
        for label, own in values.items()
        if len(own) >= FEWEST
    }
    if len(ends) < 2:
        return None
    small, (_, largest) = min(ends.items(), key=lambda item: item[1][1])
    large, (least, _) = max(ends.items(), key=lambda item: item[1][0])
    return Unlike(small, largest, large, least) if FACTOR * largest <= least else None


def of_pictures(pairs: Iterable[tuple[str, float]]) -> list[str]:
    """What to think of classes and the shorter sides of their pictures, in pixels."""
    found = find(pairs)
    if found is None or found.largest >= SHARP:
        return []
    return [
        f"nearly all pictures of {found.small} have at most {found.largest:.0f} pixels on the "
        f"shorter side, and those of {found.large} at least {found.least:.0f}: a model may tell "
        "them apart by how sharp they are; take both with one camera, from the same distance"
    ]


def of_sounds(pairs: Iterable[tuple[str, float]]) -> list[str]:
    """What to think of classes and the lengths of their recordings, in seconds."""
    found = find(pairs)
    if found is None:
        return []
    return [
        f"nearly all recordings of {found.small} last at most {found.largest:.2g} s, and those of "
        f"{found.large} at least {found.least:.2g}: shorter ones are padded with zeros, so a model "
        "may tell them apart by their length; cut them alike"
    ]
