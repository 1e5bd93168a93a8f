"""From a file of recordings to windows with labels: by a list, a column or the folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO

import numpy as np

from pipeline.datasets.reading import recording_files, recording_windows
from pipeline.datasets.reading.file_tree import nfc
from pipeline.datasets.reading.recording_columns import CERTAIN, LABELS
from pipeline.datasets.reading.recording_list import RecordingFile
from pipeline.datasets.reading.recording_windows import Block, Recording, Window
from pipeline.files.artifacts import Array
from pipeline.files.raw import FILE, RECORDING
from serving.recording import Sampling

MOST_VALUES = 2**25  # of the windows of one recording, 128 MB; what follows is not used
UNLABELLED = -1  # rows

Marks = Callable[[Block], Array]


@dataclass(frozen=True)
class Part:
    """The windows (N, T, C) of one recording, their labels, and what is known of it as a whole.

    `stretches` (N,) number the rows that follow each other and have one label.
    """

    split: str
    windows: Array
    labels: list[str]
    stretches: Array
    columns: dict[str, str]
    missing: int = 0
    gaps: int = 0
    is_longer: bool = False
    is_held: bool = False  # at its last row, as it is shorter than a window


@dataclass
class Cutting:
    """How recordings are cut. Without dataset.columns the first one says what the channels are."""

    length: int
    step: int
    rate: float
    channels: tuple[str, ...] | None
    is_even: bool = False  # rows follow each other at the rate, whatever their times are
    others: set[str] = field(default_factory=set)  # the columns of text that were seen

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.rate, self.step, self.channels or ())


def read(file: IO[bytes], row: RecordingFile, how: Cutting) -> Iterator[Part]:
    """The windows of each recording in a file. Raises FileError."""
    for recording in recording_files.recordings(file, row.file, how.channels):
        how.channels = how.channels or recording.channels
        codes: dict[str, int] = {}
        seen: dict[str, set[str]] = defaultdict(set)
        recording.blocks = _observed(recording.blocks, seen)
        marks = _marks_of(row, recording, how.rate, codes)
        most = MOST_VALUES // (how.length * len(how.channels))
        windows = recording_windows.windows(recording, how.sampling, how.length, marks, how.is_even)
        labelled = (window for window in windows if window.mark != UNLABELLED)
        used = list(islice(labelled, most))
        is_longer = next(labelled, None) is not None
        names = list(codes)
        how.others |= set(seen)
        yield Part(
            row.part,
            np.array([window.values for window in used], np.float32).reshape(
                -1, how.length, len(how.channels)
            ),
            [names[window.mark] for window in used],
            _stretches(used, how.step),
            _columns_of(row, recording, seen),
            recording.missing,
            recording.gaps,
            is_longer,
            any(window.held for window in used),
        )


def _stretches(windows: list[Window], step: int) -> Array:
    """Numbers (N,) of windows: another one where a window does not follow the one before it."""
    starts, marks = [window.start for window in windows], [window.mark for window in windows]
    breaks = (np.diff(starts) != step) | (np.diff(marks) != 0)
    return np.concatenate([np.zeros(min(len(windows), 1), np.int64), breaks.cumsum()])


def _observed(blocks: Iterator[Block], seen: dict[str, set[str]]) -> Iterator[Block]:
    """The blocks; `seen` then holds the values of each column of text, two if there are several."""
    for block in blocks:
        for name, cells in block.text.items():
            if len(seen[name]) < 2:
                seen[name] |= set(cells)
        yield block


def _columns_of(
    row: RecordingFile, recording: Recording, seen: dict[str, set[str]]
) -> dict[str, str]:
    """What is known of a recording as a whole; what changes within it says nothing of it."""
    name = row.file if recording.number is None else f"{row.file}[{recording.number}]"
    cells = {
        column: next(iter(values))
        for column, values in {**seen, **row.columns}.items()
        if len(values) == 1 and column not in CERTAIN
    }
    return {**recording.columns, **cells, RECORDING: name, FILE: row.file}


def _marks_of(
    row: RecordingFile, recording: Recording, rate: float, codes: dict[str, int]
) -> Marks:
    """The number of the label of each row of a block; `codes` are those of the labels."""

    def code(label: str) -> int:
        return codes.setdefault(label, len(codes)) if label else UNLABELLED

    def of_block(block: Block) -> Array:
        marks = np.full(len(block.values), UNLABELLED)
        if row.spans is not None:
            times = block.times
            if times is None:
                times = (block.start + np.arange(len(marks))) / rate
            for span in row.spans:
                marks[(times >= span.start) & (times < span.end)] = code(span.label)
            return marks
        for name in LABELS:
            if name in block.text:
                return np.array([code(nfc(label)) for label in block.text[name]])
        label = next((recording.columns[name] for name in LABELS if name in recording.columns), "")
        marks[:] = code(nfc(label) or row.label)
        return marks

    return of_block
