"""Which columns of numbers in recordings are channels, and which a time, a counter or a label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.files.artifacts import Array

MOST_LABELS, RARELY = 30, 0.05  # numbers in a column like that of labels; share of the rows
# The name of a channel that may be a time or a counter, or is none
COUNTER = re.compile(r"\d+|t|ms|us|ts|index|idx|row|tick|counter|count|sample|frame|nr|id|#", re.I)
FEWEST_RECORDINGS = 3  # in which a first column never falls
FEWEST_STEPS = 8  # rows, after which a column may be known for a time or a row number


class Beginning(NamedTuple):
    """Of a recording: values (B, C) and times (B,) of its first block, and its rate in Hz.

    Times and rate are None if it does not say them.
    """

    channels: tuple[str, ...]
    values: Array
    times: Array | None
    rate: float | None


def columns(beginnings: Sequence[Beginning]) -> tuple[list[str], list[str]]:
    """The value of `dataset.columns` if not all are channels, else none; and why."""
    counters, codes, rare = rising(beginnings), _codes(beginnings), _rare(beginnings)
    left_out = {*counters, *codes, *rare}
    names = [name for name in beginnings[0].channels if name not in left_out] if left_out else []
    if not names:
        return [], []
    remarks = []
    if counters:
        remarks.append(
            f"no channel, as it rises in each recording like a time or a row number: "
            f"{', '.join(counters)}"
        )
    if codes:
        remarks.append(
            "no channel, as it is one whole number in each recording, like that of a label or a "
            f"person: {', '.join(codes)}; call such a column label or person"
        )
    if rare:
        remarks.append(f"no channel, as not all recordings have it: {', '.join(rare)}")
    return names, remarks


def rising(beginnings: Sequence[Beginning]) -> list[str]:
    """The channels that rise in each recording as only a time or a counter does.

    Such a channel rises by about the same everywhere, or in proportion to the times. Without times,
    the first channel counts as one, too, if it never falls and is named like a time or a counter.
    """

    def rises(part: Beginning) -> Array:
        steps = np.diff(part.values, axis=0)
        result = _are_alike(steps)
        if part.times is not None:
            intervals = np.diff(part.times)[:, None]
            result |= (intervals > 0).all() and _are_alike(steps / np.maximum(intervals, 1e-9))
        elif len(beginnings) >= FEWEST_RECORDINGS and COUNTER.fullmatch(part.channels[0]):
            result[0] |= (steps[:, 0] >= 0).all() and (steps[:, 0] > 0).mean() > 0.5
        return result

    return _of_all(beginnings, rises)


def _are_alike(steps: Array) -> Array:
    """Whether each column (N, C) of steps rises, and by about the same everywhere."""
    middle = np.median(steps, axis=0)
    alike: Array = (middle > 0) & (np.abs(steps - middle) < middle / 2).all(0)
    return alike


def _codes(beginnings: Sequence[Beginning]) -> list[str]:
    """The channels that hold one whole number throughout each recording, and not the same one."""

    def is_code(part: Beginning) -> Array:
        values = part.values
        result: Array = (values == values[:1]).all(0) & (values[0] % 1 == 0)
        return result

    codes = {
        name: {float(part.values[0, part.channels.index(name)]) for part in _alike(beginnings)}
        for name in _of_all(beginnings, is_code)
    }
    return [name for name, numbers in codes.items() if len(numbers) > 1]


def like_labels(beginnings: Sequence[Beginning], names: list[str]) -> list[str]:
    """What to do about channels that may be labels: few whole numbers, which change rarely."""
    alike, remarks = _alike(beginnings), []
    for at, name in enumerate(alike[0].channels if alike else ()):
        changes = np.mean([(np.diff(part.values[:, at]) != 0).mean() for part in alike])
        values = np.unique(np.concatenate([part.values[:, at] for part in alike]))
        is_whole = 1 < len(values) <= MOST_LABELS and (values % 1 == 0).all()
        if is_whole and changes < RARELY and (not names or name in names):
            remarks.append(
                f"{name} holds {len(values)} whole numbers that change rarely, as labels do; if it "
                "is the label, call the column label, in the first line"
            )
    return remarks


def _of_all(beginnings: Sequence[Beginning], holds: Callable[[Beginning], Array]) -> list[str]:
    """The channels of which `holds` is true in all recordings of some length."""
    alike = _alike(beginnings)
    if not alike:
        return []
    in_all = np.all([holds(part) for part in alike], axis=0)
    return [name for name, is_held in zip(alike[0].channels, in_all, strict=True) if is_held]


def _alike(beginnings: Sequence[Beginning]) -> list[Beginning]:
    """Those with the channels of the first, and enough rows to tell."""
    long = [part for part in beginnings if len(part.values) >= FEWEST_STEPS]
    return [part for part in long if part.channels == beginnings[0].channels]


def _rare(beginnings: Sequence[Beginning]) -> list[str]:
    """The channels of the first recording that others lack; none if they share no channel."""
    counts = Counter(name for part in beginnings for name in set(part.channels))
    first = beginnings[0].channels if beginnings else ()
    rare = [name for name in first if counts[name] < len(beginnings)]
    return rare if len(rare) < len(first) else []
