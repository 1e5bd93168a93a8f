"""Your own sounds: a folder for each class, parts of the data with such folders, or a list.

`dataset.path` is a folder or a zip file. Its parts are train, validation and test in their usual
spellings, such as Training or val. If it holds the CSV `dataset.labels`, its rows are the examples:
file and label, for a part of a file start and end in seconds, and anything else, such as speaker.
`label_columns` says which columns hold several labels at once, or a number.
Without it and without folders for classes, the label tracks of Audacity beside the sounds say which
seconds are an example of what.
Beside folders, the lists of Speech Commands (Warden, 2018) say what is for validation and testing.
`sound_list.SUFFIXES` are those of the files. They are read where they lie.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.config.params import Dataset
from pipeline.config.parts import is_number, one_class_each
from pipeline.datasets import Raw, image_list
from pipeline.datasets.reading import (
    class_folders,
    doubtful_names,
    file_tree,
    label_columns,
    label_tracks,
    part_folders,
    recording_list,
    sound_list,
)
from pipeline.datasets.reading.file_tree import Tree
from pipeline.datasets.reading.label_columns import Row, column_like, spelling
from pipeline.datasets.reading.listed_files import Files
from pipeline.datasets.reading.photo_list import Candidate, Listed
from pipeline.datasets.reading.recording_columns import LABEL
from pipeline.files import pictures
from pipeline.files.pictures import Source
from pipeline.process.errors import UserError
from pipeline.process.words import counted


class Options(image_list.Options):
    """Those of the list, if there is one."""


# What is heard, if a list has no column that is a label by its name
HEARD = ("word", "command", "keyword", "transcript", "transcription", "text", "sentence", "event")
# UrbanSound8K: its files are cut out already, and start and end are those of a recording elsewhere
FREESOUND_ID = "fsID"
PART_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
NOISE = "_background_noise_"


def load(params: Dataset) -> Raw:
    root = Path(params.path)
    tree = file_tree.read(root, suffixes=sound_list.SUFFIXES, noun="sound")
    listed = candidates(root, tree, params.options(Options))
    with file_tree.opened(root) as open_file:
        return sound_list.dataset(params, listed, open_file)


def candidates(root: Path, tree: Tree, options: Options) -> Listed:
    """What the list says, or else the folders: no file is opened. Raises UserError."""
    if part_folders.folder_of_list(tree, options.labels, tree.left_out) is not None:
        return _of_list(root, tree, options)
    if options.number is not None:
        raise UserError(
            f"dataset.number is {options.number}, and {root} holds no {options.labels} with that "
            "column; set dataset.labels to the name of its CSV"
        )
    tracks = label_tracks.candidates(root, tree)
    return _of_tracks(root, tree, tracks) if tracks else _of_folders(root, tree)


def _of_list(root: Path, tree: Tree, options: Options) -> Listed:
    folder, rows = image_list.rows_of(root, tree, options.labels, options.number)
    path = f"{root / folder / options.labels}"
    known = _known(rows[0], options.number) if rows else {}
    words = [] if options.number else _words(rows, known)
    known = {column if name in words else name: column for name, column in known.items()}
    rows = [{name: row[column] for name, column in known.items()} for row in rows]
    no_labels = {*recording_list.LIST_COLUMNS}.difference(words)
    labels = label_columns.read(path, rows, options.number, no_labels)
    labels.check(path)
    files = Files(tree.files, folder, [row["file"] for row in rows])
    split = image_list.split_column(path, rows, labels.columns)
    listed = []
    for number, (row, label) in enumerate(zip(rows, labels.texts, strict=True), 2):
        others = {name: cell for name, cell in row.items() if name not in labels.columns}
        listed.append(_candidate(f"row {number} of {path}", split, others, label, files))
    target = labels.target
    if not is_number(target):
        doubtful_names.print_doubtful(labels.names)
    if one_class_each(target):
        _check_whole_files(path, listed)
    elif not is_number(target):
        target, listed = image_list.with_labels_joined(path, listed, "recording")
    tree.leave_out_unlisted({candidate.file for candidate in listed})
    return Listed(listed, labels.names, tree.left_out, target)


def _of_tracks(root: Path, tree: Tree, listed: list[Candidate]) -> Listed:
    names = sorted({candidate.label for candidate in listed})
    if len(names) < 2:
        raise UserError(f"{root} has {counted(len(names), 'label')}; expected at least 2")
    tree.leave_out_unlisted({candidate.file for candidate in listed})
    return Listed(listed, names, tree.left_out)


def is_list(names: Collection[str]) -> bool:
    """Whether a CSV with these columns names files, and what is heard in each."""
    return image_list.is_list(names) or (
        _heard(names) is not None and image_list.is_list({*names, LABEL})
    )


def _heard(names: Collection[str]) -> str | None:
    """The column of what is heard; None if there is none."""
    known = {spelling(name): name for name in names}
    return next((known[name] for name in HEARD if name in known), None)


def _known(names: Collection[str], number: str | None) -> dict[str, str]:
    """The columns to read, by the names that are looked for."""
    if number is not None:
        number = column_like(names, number)
    result = recording_list.renamed({name: name for name in names if name != number})
    if FREESOUND_ID in names:
        result.pop("start", None)
        result.pop("end", None)
    if number is not None:
        return {**result, number: number}
    heard = _heard(names)
    if heard is not None and LABEL not in result:
        result[LABEL] = result.pop(heard)
    return result


def _words(rows: Sequence[Row], known: dict[str, str]) -> list[str]:
    """`start` and `end`, if they are words in a list that has a column of 0 and 1 for each word."""
    spans = {name: [row[known[name]] for row in rows] for name in ("start", "end") if name in known}
    if {LABEL, "labels"} & {*known} or not all(map(label_columns.are_truths, spans.values())):
        return []
    return [] if any(map(_may_be_seconds, spans.values())) else [*spans]


def _may_be_seconds(cells: Sequence[str]) -> bool:
    """Whether numbers 0 and 1 may be seconds: an end may be left out, and all may be the same."""
    numbers = {float(cell) for cell in cells if label_columns.is_number_text(cell)}
    return len(numbers) == 1 or (len(numbers) > 1 and "" in cells)


def _of_folders(root: Path, tree: Tree) -> Listed:
    """What the folders say, and of Speech Commands the lists of its parts. Raises UserError."""
    rows, names, left_out, _ = class_folders.listed(root, tree)
    doubtful_names.print_odd_folders(root, tree)
    base = part_folders.base(tree)
    lists = {part: f"{base}{name}" for part, name in PART_LISTS.items()}
    lists = {part: name for part, name in lists.items() if name in left_out}
    words = [name for name in names if name != NOISE]
    if not lists or len(words) < 2:
        return Listed(rows, names, left_out)
    for row in rows:
        if row.label == NOISE:
            left_out[row.file] = "is background noise, not a word"
    rows = [row for row in rows if row.label != NOISE]
    listed = _in_listed_parts(rows, pictures.source(root), base, lists)
    there = {(row.label, row.part) for row in listed}
    absent = [
        f"{word} would have no sound for {part}"
        for part in ("train", *lists)
        for word in words
        if (word, part) not in there
    ]
    if absent:
        print(f"note: not used, as the class {absent[0]}: {', '.join(lists.values())}")
        return Listed(rows, words, left_out)
    unlisted = {name: why for name, why in left_out.items() if name not in lists.values()}
    return Listed(listed, words, unlisted)


def _in_listed_parts(
    rows: Sequence[Candidate], source: Source, base: str, lists: dict[str, str]
) -> list[Candidate]:
    """The candidates, in the part whose list names them; `lists` are the lists of the parts."""
    parts: dict[str, str] = {}
    for part, name in lists.items():
        lines = source.read(name).decode("utf-8", "replace").split("\n")
        parts |= {f"{base}{line.strip()}": part for line in lines}
    return [replace(row, part=parts.get(row.file, row.part)) for row in rows]


def _check_whole_files(path: str, listed: list[Candidate]) -> None:
    """Raises UserError if a file has two labels, and nothing says where in it."""
    labels: dict[str, str] = {}
    for candidate in listed:
        other = labels.setdefault(candidate.file, candidate.label)
        if candidate.seconds is None and other != candidate.label:
            raise UserError(
                f"{path} says that {candidate.file} is {other} and {candidate.label}; expected one "
                "label, or start and end in seconds in each of these rows"
            )


def _candidate(
    where: str, split: str | None, row: dict[str, str], label: str, files: Files
) -> Candidate:
    """Raises UserError, which begins with `where`."""
    start = recording_list.seconds(where, row, "start", 0.0)
    end = recording_list.seconds(where, row, "end", math.inf)
    if not 0 <= start < end:
        raise UserError(
            f"{where} has start {start:g} and end {end:g}; expected seconds with an end after the "
            "start"
        )
    part = image_list.part_of(where, row, split)
    candidate = image_list.candidate_of(where, part, row, label, files)
    others = {
        name: cell for name, cell in candidate.columns.items() if name not in recording_list.PLACES
    }
    is_part = bool(row.get("start") or row.get("end"))
    return replace(candidate, columns=others, seconds=(start, end) if is_part else None)
