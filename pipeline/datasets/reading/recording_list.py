"""Which files are recordings, and what a list or the folders say about them: none is opened."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.datasets.reading import file_tree, label_columns, part_folders, recording_files
from pipeline.datasets.reading.file_tree import FileError, Open, nfc
from pipeline.datasets.reading.label_columns import CURE, column_like, spelling
from pipeline.datasets.reading.names_of_files import label_of_name
from pipeline.datasets.reading.recording_columns import LABEL, LABELS, label_in
from pipeline.files import list_file
from pipeline.process.errors import UserError

PLACES = ("file", "start", "end", "split")  # of an example, in columns of a list
LIST_COLUMNS = (*PLACES, LABEL)
SPELLINGS = {  # of these columns, in lower case, of letters and digits
    "file": ("file", "filename", "filepath", "path"),
    "start": ("start", "starttime", "startseconds", "starts", "begin", "begintime", "onset"),
    "end": ("end", "endtime", "endseconds", "ends", "stop", "stoptime", "offset"),
    "split": ("split",),
}


FEWEST_FOLDERS = 3  # of a label, each with a recording


@dataclass(frozen=True)
class Span:
    """Seconds of a file that have a label."""

    start: float
    end: float
    label: str


@dataclass
class RecordingFile:
    """A file and its part of the data, with what a folder or a list says about it.

    `spans` are None if no list names the file; then its `label` is that of its folder, if any, or
    without folders that of its name.
    """

    file: str
    part: str = "train"
    label: str = ""
    spans: list[Span] | None = None
    is_in_own_folder: bool = False  # that of one recording, with a file for each sensor
    columns: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def listed(
    root: Path, tree: file_tree.Tree, name: str, open_file: Open, number: str | None = None
) -> list[RecordingFile]:
    """The files of a tree, with what the list `name` says, or else its folders.

    With the name of a `number`, its column of the list has the labels, if there is one, or else
    the list only describes the files. Raises UserError.
    """
    folder = part_folders.folder_of_list(tree, name, tree.files)
    if folder is not None:
        tree.files.remove(f"{folder}{name}")
        with open_file(f"{folder}{name}") as file:
            return _of_list(f"{root / folder / name}", folder, tree, file, number)
    result = []
    for part, prefix in part_folders.parts(tree).items():
        for path in (file for file in tree.files if file.startswith(prefix)):
            label, slash, _ = path.removeprefix(prefix).partition("/")
            result.append(RecordingFile(path, part, nfc(label) if slash else ""))
    if _are_folders_recordings(result):
        for row in result:
            row.label, row.is_in_own_folder = label_of_name(row.label), True
    if not any(row.label for row in result) and _are_labels_named(result, open_file):
        for row in result:
            row.label = label_of_name(row.file)
    return result


def _are_folders_recordings(rows: Sequence[RecordingFile]) -> bool:
    """Whether each folder is a recording with a label in its name, as phyphox exports them.

    All hold files of the same names, which differ in letters, and their own names differ by numbers
    or dates alone, but for some labels.
    """
    files: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        files[row.part, row.label].append(label_of_name(row.file))
    folders = Counter(label_of_name(label) for label in {label for _, label in files})
    names = [*map(sorted, files.values())]
    return (
        all(own == sorted({*names[0]} - {""}) for own in names)
        and len(folders) >= 2
        and min(folders.values()) >= FEWEST_FOLDERS
        and "" not in folders
    )


def _are_labels_named(rows: Sequence[RecordingFile], open_file: Open) -> bool:
    """Whether the names of files differ in letters, and no file has labels of its own."""
    names = {label_of_name(row.file) for row in rows}
    letters = {re.sub(r"[\d\W_]+", "", name) for name in names}
    if len(names) < 2 or "" in letters or len(letters) < len(names):
        return False
    return not any(_has_labels(row.file, open_file) for row in rows)


def _has_labels(name: str, open_file: Open) -> bool:
    with suppress(FileError, OSError), open_file(name) as file:
        for recording in recording_files.recordings(file, name):
            block = next(iter(recording.blocks), None)
            return block is not None and any(column in block.text for column in LABELS)
    return False


def renamed(row: dict[str, str]) -> dict[str, str]:
    """The row of a list, with `file`, `start`, `end` and `split` for their other spellings."""
    result = dict(row)
    for name, spellings in SPELLINGS.items():
        variant = next((column for column in row if spelling(column) in spellings), None)
        if name not in row and variant:
            result[name] = result.pop(variant)
    return result


def _of_list(
    path: str, folder: str, tree: file_tree.Tree, file: IO[bytes], number: str | None
) -> list[RecordingFile]:
    """The files that a list names, in its order. Raises UserError, which begins with its `path`."""
    table = list_file.read(path, file.read())
    names = [*renamed(dict.fromkeys(table.columns, ""))]
    of_label = label_in(names) if number is None else column_like(names, number)
    if "file" not in names or (of_label is None and number is None):
        raise UserError(
            f"{path} has the columns {', '.join(names)}; expected file and label, and optionally "
            f"start, end, split and others; to predict a number, {CURE}"
        )
    files = {nfc(name): name for name in tree.files}
    rows = [
        renamed(dict(zip(table.columns, map(str.strip, cells), strict=True)))
        for cells in table.rows
    ]
    labels: Sequence[str | None] = [None] * len(rows)
    if of_label is not None and number is None:
        labels = [row[of_label] for row in rows]
    elif of_label is not None:
        labels = label_columns.numbers(path, rows, of_label).texts
    result: dict[str, RecordingFile] = {}
    for place, (row, label) in enumerate(zip(rows, labels, strict=True), 2):
        others = {name: cell for name, cell in row.items() if name not in (of_label, LABEL)}
        others |= {} if label is None else {LABEL: label}
        _add_row(result, f"row {place} of {path}", others, folder, files)
    tree.leave_out_unlisted(result)
    return list(result.values())


def _add_row(
    result: dict[str, RecordingFile],
    where: str,
    row: dict[str, str],
    folder: str,
    files: dict[str, str],
) -> None:
    """Adds a row of a list to what is known of its file. Raises UserError."""
    name = row["file"].replace("\\", "/").removeprefix("./")
    file = files.get(nfc(f"{folder}{name}"))
    if file is None:
        raise UserError(f"{where} names {name or 'no file'}; expected a recording beside it")
    label = nfc(row[LABEL]) if LABEL in row else None
    split = part_folders.part_of(row.get("split") or "train")
    start, end = seconds(where, row, "start", 0.0), seconds(where, row, "end", np.inf)
    if label == "" or split is None or not start < end:
        raise UserError(
            f"{where} has label {label!r}, split {row.get('split', '')!r}, start {start:g} and end "
            f"{end:g}; expected a label, train, validation or test, and an end after the start"
        )
    spans = None if label is None else list[Span]()
    entry = result.setdefault(file, RecordingFile(file, split, spans=spans))
    if entry.part != split:
        raise UserError(f"{where} has the split {split}, and another row of {name} {entry.part}")
    if label is not None and entry.spans is not None:
        entry.spans.append(Span(start, end, label))
    for column, cell in row.items():
        if column not in LIST_COLUMNS:
            entry.columns[column].add(cell)


def seconds(where: str, row: dict[str, str], name: str, default: float) -> float:
    try:
        value = float(row.get(name) or default)
    except ValueError:
        value = np.nan
    if np.isnan(value):
        raise UserError(f"{where} has {name} {row[name]}; expected seconds")
    return value
