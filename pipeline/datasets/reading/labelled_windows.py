"""From a file of recordings to windows with labels: by a list, a column or the folder.

Or with numbers: that of a window is the mean of those of its rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO

import numpy as np

from pipeline.datasets.reading import recording_files, recording_windows
from pipeline.datasets.reading.file_tree import FileError, nfc
from pipeline.datasets.reading.label_columns import column_like, is_number_text, spelling
from pipeline.datasets.reading.recording_columns import CERTAIN, LABEL, LABELS
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

    Numbers are texts, too, as `label_meaning.array` takes them.

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
    lacking: Counter[str] = field(default_factory=Counter)  # rows without a value, by channel


@dataclass
class Cutting:
    """How recordings are cut. Without dataset.columns the first one says what the channels are."""

    length: int
    step: int
    rate: float
    channels: tuple[str, ...] | None
    is_even: bool = False  # rows follow each other at the rate, whatever their times are
    number: str | None = None  # the column of the number to predict, which is no channel
    others: set[str] = field(default_factory=set)  # the columns of text that were seen

    @property
    def target(self) -> str:
        return "classes" if self.number is None else "number"

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.rate, self.step, self.channels or ())


def read(file: IO[bytes], row: RecordingFile, how: Cutting) -> Iterator[Part]:
    """The windows of each recording in a file. Raises FileError."""
    if how.channels is None and how.number is not None:
        first = next(recording_files.recordings(file, row.file))
        number = column_like(first.channels, how.number)
        how.channels = tuple(name for name in first.channels if name != number)
        file.seek(0)
    for recording in recording_files.recordings(file, row.file, how.channels):
        how.channels = how.channels or recording.channels
        seen: dict[str, set[str]] = defaultdict(set)
        lacking = Counter[str]()
        recording.blocks = _observed(recording.blocks, seen, how.channels, lacking)
        answers = _Labels() if how.number is None else _Numbers(how.number, how.length)
        marks = _marks_of(row, recording, how.rate, answers)
        most = MOST_VALUES // (how.length * len(how.channels))
        windows = recording_windows.windows(recording, how.sampling, how.length, marks, how.is_even)
        labelled = (window for window in windows if window.mark != UNLABELLED)
        used = list(islice(labelled, most))
        is_longer = next(labelled, None) is not None
        how.others |= set(seen)
        yield Part(
            row.part,
            np.array([window.values for window in used], np.float32).reshape(
                -1, how.length, len(how.channels)
            ),
            answers.of(used),
            _stretches(used, how.step),
            _columns_of(row, recording, seen),
            recording.missing,
            recording.gaps,
            is_longer,
            any(window.held for window in used),
            lacking,
        )


def _stretches(windows: list[Window], step: int) -> Array:
    """Numbers (N,) of windows: another one where a window does not follow the one before it."""
    starts, marks = [window.start for window in windows], [window.mark for window in windows]
    breaks = (np.diff(starts) != step) | (np.diff(marks) != 0)
    return np.concatenate([np.zeros(min(len(windows), 1), np.int64), breaks.cumsum()])


def _observed(
    blocks: Iterator[Block],
    seen: dict[str, set[str]],
    channels: Sequence[str],
    lacking: Counter[str],
) -> Iterator[Block]:
    """The blocks; `seen` then holds the values of each column of text, two if there are several.

    `lacking` then says in how many rows each channel has no value.
    """
    for block in blocks:
        missing = (~np.isfinite(block.values)).sum(0).tolist()
        lacking.update(dict(zip(channels, missing, strict=True)))
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


class _Labels:
    """Each label has a code, in the order in which they are met."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, label: str) -> float:
        return float(self._codes.setdefault(label, len(self._codes)) if label else UNLABELLED)

    def column(self, names: Collection[str]) -> str | None:
        return next((name for name in LABELS if name in names), None)

    def of_file(self, row: RecordingFile) -> str:
        return row.label

    def marks(self, block: Block, codes: Array) -> Array:
        return codes

    def of(self, windows: Sequence[Window]) -> list[str]:
        names = list(self._codes)
        return [names[window.mark] for window in windows]


class _Numbers:
    """Each row has a number; that of a window is their mean."""

    def __init__(self, column: str, length: int) -> None:
        self._column, self._length, self._start = column, length, 0
        self._rows: list[Array] = []

    def code(self, text: str) -> float:
        """Raises FileError."""
        if text.lower() in ("", "nan"):
            return np.nan
        if not is_number_text(text):
            raise FileError(f"has {text!r} as {self._column}; expected a number, or nothing")
        return float(text)

    def column(self, names: Collection[str]) -> str | None:
        is_label = spelling(self._column) in map(spelling, LABELS)
        alike = column_like(names, self._column)
        return LABEL if alike is None and is_label and LABEL in names else alike

    def of_file(self, row: RecordingFile) -> str:
        raise FileError(
            f"has no column {self._column} beside its channels, which dataset.number names"
        )

    def marks(self, block: Block, codes: Array) -> Array:
        self._start = self._start if self._rows else block.start
        self._rows.append(codes)
        return np.where(np.isfinite(codes), 0, UNLABELLED)

    def of(self, windows: Sequence[Window]) -> list[str]:
        rows = np.concatenate([np.empty(0), *self._rows])
        starts = [window.start - self._start for window in windows]
        return [repr(float(rows[start : start + self._length].mean())) for start in starts]


def _marks_of(
    row: RecordingFile, recording: Recording, rate: float, answers: _Labels | _Numbers
) -> Marks:
    """The mark of each row of a block, which changes where the label does."""

    def codes(block: Block) -> Array:
        result = np.full(len(block.values), answers.code(""))
        if row.spans is not None:
            times = block.times
            if times is None:
                times = (block.start + np.arange(len(result))) / rate
            for span in row.spans:
                result[(times >= span.start) & (times < span.end)] = answers.code(span.label)
            return result
        if (name := answers.column(block.text)) is not None:
            return np.array([answers.code(nfc(text)) for text in block.text[name]])
        name = answers.column(recording.columns)
        text = nfc(recording.columns[name]) if name is not None else ""
        return np.full(len(block.values), answers.code(text or answers.of_file(row)))

    return lambda block: answers.marks(block, codes(block))
