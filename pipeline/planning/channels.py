"""The channels of recordings, by the beginnings of some: what is measured, and what only tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.datasets.reading.recording_list import RecordingFile
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

    row: RecordingFile
    channels: tuple[str, ...]
    values: Array
    times: Array | None
    rate: float | None


@dataclass
class Seen:
    """The beginnings of recordings, and why others cannot be read."""

    beginnings: list[Beginning] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    is_mixed: bool = False  # others had no channel of theirs, and are not among them

    def keep_usual(self) -> None:
        """Leaves out those without a channel in common with what most rows have."""
        rows: Counter[tuple[str, ...]] = Counter()
        for part in self.beginnings:
            rows[part.channels] += len(part.values)
        usual = {name for names, _ in rows.most_common(1) for name in names}
        kept = [part for part in self.beginnings if usual & set(part.channels)]
        self.is_mixed = len(kept) < len(self.beginnings)
        self.beginnings = kept


def columns(seen: Seen) -> tuple[list[str], list[str]]:
    """The value of `dataset.columns` if not all are channels, else none; and why."""
    times, codes, rare = rising(seen), _codes(seen), _rare(seen)
    left = {*times, *codes, *rare}
    kept = [name for name in seen.beginnings[0].channels if name not in left]
    if not kept or not (left or seen.is_mixed):
        return [], []
    remarks = []
    if times:
        remarks.append(
            f"no channel, as it rises in each recording like a time or a row number: "
            f"{', '.join(times)}"
        )
    if codes:
        remarks.append(
            "no channel, as it is one whole number in each recording, like that of a label or a "
            f"person: {', '.join(codes)}; call such a column label or person"
        )
    if rare:
        remarks.append(f"no channel, as not all recordings have it: {', '.join(rare)}")
    return kept, remarks


def rising(seen: Seen) -> list[str]:
    """The channels that rise in each recording as only a time or a counter does.

    Their steps are about the same, or in proportion to those of the times; or without times, the
    first of them never falls, and its name is that of a time or a counter, or it has none.
    """

    def rises(part: Beginning) -> Array:
        steps = np.diff(part.values, axis=0)
        result = _are_alike(steps)
        if part.times is not None:
            intervals = np.diff(part.times)[:, None]
            result |= (intervals > 0).all() and _are_alike(steps / np.maximum(intervals, 1e-9))
        elif len(seen.beginnings) >= FEWEST_RECORDINGS and COUNTER.fullmatch(part.channels[0]):
            result[0] |= (steps[:, 0] >= 0).all() and (steps[:, 0] > 0).mean() > 0.5
        return result

    return _of_all(seen, rises)


def _are_alike(steps: Array) -> Array:
    """Whether each column (N, C) of steps rises, and by about the same everywhere."""
    middle = np.median(steps, axis=0)
    alike: Array = (middle > 0) & (np.abs(steps - middle) < middle / 2).all(0)
    return alike


def _codes(seen: Seen) -> list[str]:
    """The channels that hold one whole number throughout each recording, and not the same one."""

    def is_code(part: Beginning) -> Array:
        values = part.values
        result: Array = (values == values[:1]).all(0) & (values[0] % 1 == 0)
        return result

    codes = {
        name: {float(part.values[0, part.channels.index(name)]) for part in _alike(seen)}
        for name in _of_all(seen, is_code)
    }
    return [name for name, numbers in codes.items() if len(numbers) > 1]


def like_labels(seen: Seen, kept: list[str]) -> list[str]:
    """What to do about channels that may be labels: few whole numbers, which change rarely."""
    alike, remarks = _alike(seen), []
    for at, name in enumerate(alike[0].channels if alike else ()):
        changes = np.mean([(np.diff(part.values[:, at]) != 0).mean() for part in alike])
        values = np.unique(np.concatenate([part.values[:, at] for part in alike]))
        is_whole = 1 < len(values) <= MOST_LABELS and (values % 1 == 0).all()
        if is_whole and changes < RARELY and (not kept or name in kept):
            remarks.append(
                f"{name} holds {len(values)} whole numbers that change rarely, as labels do; if it "
                "is the label, call the column label, in the first line"
            )
    return remarks


def _of_all(seen: Seen, holds: Callable[[Beginning], Array]) -> list[str]:
    """The channels of which `holds` is true in all recordings of some length."""
    alike = _alike(seen)
    if not alike:
        return []
    in_all = np.all([holds(part) for part in alike], axis=0)
    return [name for name, is_held in zip(alike[0].channels, in_all, strict=True) if is_held]


def _alike(seen: Seen) -> list[Beginning]:
    """Those with the channels of the first, and enough rows to tell."""
    long = [part for part in seen.beginnings if len(part.values) >= FEWEST_STEPS]
    return [part for part in long if part.channels == seen.beginnings[0].channels]


def _rare(seen: Seen) -> list[str]:
    """The channels of the first recording that others lack; none if they share no channel."""
    counts = Counter(name for part in seen.beginnings for name in set(part.channels))
    first = seen.beginnings[0].channels if seen.beginnings else ()
    rare = [name for name in first if counts[name] < len(seen.beginnings)]
    return rare if len(rare) < len(first) else []
