"""Your own recordings of sensors, CSV or npz files of any length, cut into windows.

`dataset.path` is a folder, a zip file or one such file; `recording_files` describes them.
A window has the label that all of its rows have: of the rows of `dataset.labels`, a CSV in that
folder with the columns file and label, and for a part of a file start and end in seconds; or else
of a column or array `label`; or of the folder that the file lies in, or without folders of its
name. If `dataset.number` names a column of numbers, a window has the mean of those of its rows.
Rows without a label or number are in no window. A shorter recording of one label is held at its
last row, such as a gesture. Windows of a recording stay in one split.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from pipeline.config import section
from pipeline.config.params import Dataset
from pipeline.config.parts import one_class_each
from pipeline.datasets import Raw
from pipeline.datasets.reading import (
    doubtful_names,
    file_tree,
    label_meaning,
    labelled_windows,
    photo_list,
    recording_files,
)
from pipeline.datasets.reading.file_tree import FileError, Open
from pipeline.datasets.reading.label_columns import CURE
from pipeline.datasets.reading.labelled_windows import Cutting, Part
from pipeline.datasets.reading.recording_columns import LABEL, held_together
from pipeline.datasets.reading.recording_files import LOGS, NOUN, SUFFIXES
from pipeline.datasets.reading.recording_list import RecordingFile, listed
from pipeline.files.raw import FILE, RECORDING
from pipeline.files.splits import stratified
from pipeline.process.errors import UserError
from pipeline.process.progress import followed
from pipeline.process.words import counted, verb
from serving.recording import GAP


class Options(section.Options):
    """How the recordings are cut; step is half a window by default, columns all numbers."""

    rate: Annotated[float, Field(gt=0, le=1e6)] = 50.0  # Hz
    seconds: PositiveFloat = 2.0  # of a window
    step: PositiveFloat | None = None  # seconds from one window to the next
    columns: Annotated[list[str], Field(min_length=1)] | None = None
    labels: str = "labels.csv"  # the list, if there is one
    number: str | None = None  # the column of the number to predict
    gaps: Literal["split", "ignore"] = "split"  # ignore: rows are even, whatever their times are


def load(params: Dataset) -> Raw:
    options = params.options(Options)
    how = cutting(options)
    with opened(Path(params.path), options.labels, options.number) as (rows, open_file, left_out):
        return dataset(how, rows, open_file, left_out, params.path)


def cutting(options: Options) -> Cutting:
    """Raises UserError for a window shorter than two rows, and a number that is a channel."""
    length = round(options.seconds * options.rate)
    if length < 2:
        raise UserError(
            f"dataset.seconds is {options.seconds:g} and dataset.rate {options.rate:g} Hz, "
            f"windows of {counted(length, 'row')}; expected at least 2"
        )
    if options.number is not None and options.number in (options.columns or ()):
        raise UserError(
            f"dataset.columns names {options.number}, which dataset.number predicts; take it out"
        )
    step = options.seconds / 2 if options.step is None else options.step
    channels = tuple(options.columns) if options.columns else None
    step_rows = max(round(step * options.rate), 1)
    is_even = options.gaps == "ignore"
    return Cutting(length, step_rows, options.rate, channels, is_even, options.number)


@contextmanager
def opened(
    root: Path, labels: str, number: str | None = None
) -> Iterator[tuple[list[RecordingFile], Open, dict[str, str]]]:
    """The files at `root`, how to open one, and what is left out, with reasons.

    `labels` is the name of the list, if there is one, and `number` its column of numbers. Raises
    UserError.
    """
    if root.suffix.lower() in (*SUFFIXES, *LOGS) and root.is_file():
        yield [RecordingFile(root.name)], lambda name: root.open("rb"), {}
        return
    tree = recording_files.tree(root, labels)
    with file_tree.opened(root) as open_file:
        yield listed(root, tree, labels, open_file, number), open_file, tree.left_out


def dataset(
    how: Cutting, rows: list[RecordingFile], open_file: Open, left_out: dict[str, str], path: str
) -> Raw:
    """Reads the recordings. Those that cannot be used are left out, and named in the terminal.

    Rows are interleaved: any first ones hold the classes in proportion. Raises UserError.
    """
    parts, unreadable = _read(how, rows, open_file)
    photo_list.say_what_is_left_out(len(rows), unreadable, left_out, NOUN)
    say(parts, how)
    if len(parts) == 1 and parts[0].labels:
        parts = in_stretches(parts[0])
        print("there is only one recording, so the result may not hold for others")
    keep_files_together(parts, how)
    class_names = _class_names(parts, how, path)
    arrays: dict[str, Any] = {}
    for name in ("train", "test"):
        own = [part for part in parts if (part.split == "test") == (name == "test")]
        arrays |= as_arrays(name, own, class_names, how)
    return Raw(
        **arrays,
        class_names=class_names,
        unreadable=sorted(unreadable),
        kind="series",
        target=how.target,
        series=asdict(how.sampling),
        group=RECORDING,
        left_out={**left_out, **unreadable},
    )


def _read(
    how: Cutting, rows: list[RecordingFile], open_file: Open
) -> tuple[list[Part], dict[str, str]]:
    """The parts of the files that can be read, and why the others cannot."""
    parts: list[Part] = []
    unreadable: dict[str, str] = {}
    for row in followed(rows, len(rows), "reading recordings"):
        channels = how.channels
        try:
            with open_file(row.file) as file:
                parts += list(labelled_windows.read(file, row, how))  # all of a file, or nothing
        except (FileError, OSError) as error:
            unreadable[row.file] = str(error)
            how.channels = channels  # which a damaged first file does not decide
    return parts, unreadable


def _class_names(parts: list[Part], how: Cutting, path: str) -> list[str]:
    """The labels of training and validation, or the name of the number.

    Raises UserError for fewer than two labels, or no number.
    """
    names = sorted({name for part in parts if part.split != "test" for name in part.labels})
    lacking = _lacking([part for part in parts if not part.labels])
    if how.number is not None:
        if not names:
            raise UserError(
                f"{path} has no window for training in which each row has a number in the column "
                f"{how.number}; expected rows for dataset.seconds, {how.length / how.rate:g}"
                f"{lacking}"
            )
        return [how.number]
    if len(names) < 2:
        raise UserError(
            f"{path} has windows of {counted(len(names), 'label')} for training; expected at least "
            "2: from a column label, a list or a folder for each class, with rows for "
            f"dataset.seconds, {how.length / how.rate:g}; the channels are "
            f"{', '.join(how.channels or ())[:200]}{_others(how)}{lacking}"
        )
    doubtful_names.print_doubtful(names)
    return names


def _lacking(empty: list[Part]) -> str:
    """What to do about values that are missing in recordings without a window."""
    missing = sum(part.missing for part in empty)
    if not missing:
        return ""
    lacking = sum((part.lacking for part in empty), Counter[str]())
    return (
        f"; {counted(missing, 'row')} of {counted(len(empty), NOUN)} without a window "
        f"{verb(missing, 'lacks', 'lack')} a value, most in the column "
        f"{lacking.most_common(1)[0][0]}: fill them in, such as with the value before, or take "
        "out the columns that have few"
    )


def _others(how: Cutting) -> str:
    """What to do if one of the columns is the label by another name."""
    others = f", and the others {', '.join(sorted(how.others))[:200]}" if how.others else ""
    why = "if a column holds the label, call it `label`"
    if LABEL in how.others:
        why = "no label lasts for a window"
    return f"{others}; {why}; to predict a number, {CURE}"


def keep_files_together(parts: list[Part], how: Cutting) -> None:
    """The trials in a table of several count as one recording, unless a column says who it was.

    They do not if each label is in one file alone, for that would be in one split.
    """
    files = defaultdict(set)
    for part in parts:
        for label in part.labels:
            files[label if one_class_each(how.target) else ""].add(part.columns[FILE])
    are_shared = any(len(names) > 1 for names in files.values())
    for part in parts:
        file = part.columns[FILE]
        is_table = not file.lower().endswith(".npz")
        if is_table and are_shared and not held_together([*part.columns]):
            part.columns[RECORDING] = file


def in_stretches(part: Part) -> list[Part]:
    """A part for each stretch of one label."""
    result = []
    for number in np.unique(part.stretches):
        rows = np.flatnonzero(part.stretches == number)
        columns = {**part.columns, RECORDING: f"{part.columns[RECORDING]}#{number}"}
        labels = [part.labels[row] for row in rows]
        result.append(Part(part.split, part.windows[rows], labels, part.stretches[rows], columns))
    return result


def say(parts: list[Part], how: Cutting) -> None:
    count = sum(len(part.labels) for part in parts)
    rate = f"{how.length} rows at {how.rate:g} Hz, {how.step} from one to the next"
    print(f"{counted(len(parts), NOUN)}: {count:,} windows of {rate}")
    if missing := sum(part.missing for part in parts):
        print(f"{counted(missing, 'row')} without a value: such a row is in no window")
    if gaps := sum(part.gaps for part in parts):
        print(
            f"{counted(gaps, 'gap')} in time, of more than {GAP:g} intervals or backwards: no "
            "window crosses one; if the clock is only uneven, set dataset.gaps to ignore"
        )
    if held := sum(part.is_held for part in parts):
        print(f"{counted(held, NOUN)} shorter than a window: held at the last row")
    if empty := sum(not part.labels for part in parts):
        what = "of one label" if how.number is None else "with a number"
        needed = f"{how.length} rows {what} that follow each other"
        print(f"{counted(empty, NOUN)} without a window: it needs {needed}")
    if longer := sum(part.is_longer for part in parts):
        most = f"{labelled_windows.MOST_VALUES:,} values"
        print(f"{counted(longer, NOUN)} of more than {most}: the rest is not used")


def as_arrays(name: str, parts: list[Part], class_names: list[str], how: Cutting) -> dict[str, Any]:
    """The fields of Raw for one part of the data. Raises UserError for a label without training."""
    texts = [label for part in parts for label in part.labels]
    unknown = sorted(set(texts) - set(class_names))
    if unknown and one_class_each(how.target):
        raise UserError(
            f"label {unknown[0]} has windows for testing and none for training; expected both"
        )
    labels = label_meaning.array(how.target, texts, class_names)
    order = stratified(label_meaning.strata(how.target, labels))
    empty = np.empty((0, how.length, len(how.channels or ())), np.float32)
    inputs = np.concatenate([empty, *(part.windows for part in parts)])[order]
    owners = [part for part in parts for _ in part.labels]
    owners = [owners[row] for row in order]
    columns = sorted({column for part in parts for column in part.columns})
    result = {
        f"{name}_images": inputs,
        f"{name}_labels": labels[order],
        f"{name}_columns": {
            column: [owner.columns.get(column, "") for owner in owners] for column in columns
        },
    }
    if name == "train":
        validation = np.flatnonzero([owner.split == "validation" for owner in owners])
        result["validation"] = validation if len(validation) else None
    return result
