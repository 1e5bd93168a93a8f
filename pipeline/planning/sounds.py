"""What the sounds of a user are: how many of each class, how long, at what rate, and by whom.

All files are counted, but of at most SAMPLE the beginning is read: their lengths and rates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import soundfile

from pipeline.config.params import NONE
from pipeline.config.parts import is_number, one_class_each
from pipeline.datasets import audio_folder
from pipeline.datasets.reading import file_tree, label_meaning, sound_list
from pipeline.datasets.reading.file_tree import FileError, Open, Tree
from pipeline.datasets.reading.photo_list import Candidate
from pipeline.files import groups as example_groups
from pipeline.files import pictures
from pipeline.files.artifacts import Array
from pipeline.planning import media_files, named_folders, speakers, unlike_classes
from pipeline.planning.data import Given, NumberRange, Survey
from pipeline.planning.parts import folds
from pipeline.process.errors import UserError
from pipeline.process.progress import followed
from pipeline.process.words import counted

SAMPLE = 2000  # recordings that are opened
LONGEST = 3.0  # seconds that are proposed
Header = tuple[int, float, str]  # Hz, seconds, label


def survey(path: Path, tree: Tree, labels: str | None, given: Given) -> Survey:
    """Looks at sounds in class folders, or in a list of this name. Raises UserError."""
    listed = {"labels": labels, "number": given.number}
    listed = {key: value for key, value in listed.items() if value is not None}
    options = audio_folder.Options.model_validate(listed)
    candidates, class_names, left_out, target = audio_folder.candidates(path, tree, options)
    with file_tree.opened(path) as open_file:
        headers, faults = _headers(open_file, candidates)
    readable = [row for row in candidates if row.file not in faults]
    train = [row for row in readable if row.part != "test"]
    answers = label_meaning.array(target, [row.label for row in train], class_names)
    counts = label_meaning.counts(target, answers, class_names)
    media_files.check_classes(path, counts, "recording", faults)
    _check_readable(path, headers, faults)
    if not train:
        raise UserError(f"{path} holds no readable recording for training")
    rates, seconds, _ = (np.array(column) for column in zip(*headers, strict=True))
    lengths = [(label, min(length, LONGEST)) for _, length, label in headers]
    examples = Counter(row.part for row in readable)
    classes = [row.label if one_class_each(target) else "" for row in train]
    group, names, too_few = _groups(train, classes, examples, given.group)
    labelled = [(row.file, row.label) for row in train]
    of_speakers = speakers.remarks(group, example_groups.named(names))
    return Survey(
        values={"name": "audio_folder", "path": str(path), "other": NONE, **listed},
        class_names=list(class_names),
        examples=examples,
        counts=counts,
        kind="sounds",
        target=target,
        number=NumberRange.of(answers, given.unit) if is_number(target) else None,
        opened=len(headers),
        rate=int(np.quantile(rates, 0.05, method="lower")),
        seconds=float(np.quantile(seconds, 0.95)),
        group=group,
        groups=len(set(names)),
        groups_of_class=media_files.groups_of_class(zip(names, classes, strict=False)),
        folds=folds(names, classes, examples["test"] > 0),
        remarks=[
            *_in_other_formats(left_out),
            *media_files.left_out(left_out, faults, "recording"),
            *_odd(rates, seconds),
            *unlike_classes.of_sounds(lengths if one_class_each(target) else []),
            *([] if group in speakers.NAMES else named_folders.remarks(labelled)),
            *(of_speakers if group else []),
            *too_few,
        ],
        ungrouped=[] if group else of_speakers,
    )


def _check_readable(path: Path, headers: Sequence[Header], faults: dict[str, str]) -> None:
    if not headers:
        file, reason = next(iter(faults.items()))
        raise UserError(f"{path}: none of {len(faults):,} sounds can be read; {file} {reason}")


def _groups(
    rows: Sequence[Candidate],
    classes: Sequence[str],
    examples: Mapping[str, int],
    given_group: str | None,
) -> tuple[str | None, list[str], list[str]]:
    """The value of `preprocess.group`, a column of a list if it names people, and a remark.

    Between them are the names, one for each row. Without groups, parts of one file stay in one
    split.
    """
    columns = {name: [row.columns[name] for row in rows] for name in rows[0].columns}
    files = [row.file for row in rows]
    column, names, too_few = media_files.held_apart(files, columns, examples, given_group)
    if column:
        return column, names, []
    expression, _ = speakers.find(list(zip(files, classes, strict=True)))
    if expression is not None:
        return expression, example_groups.of_files(files, {}, expression), too_few
    return None, files if any(row.seconds for row in rows) else [], too_few


def _headers(
    open_file: Open, candidates: Sequence[Candidate]
) -> tuple[list[Header], dict[str, str]]:
    """Of SAMPLE recordings; and why some cannot be read."""
    rows = media_files.of_every_class_in_turn(candidates)[:SAMPLE]

    def header(row: Candidate) -> Header | str:
        try:
            with open_file(row.file) as opened:
                return (*_header(opened, row.seconds), row.label)
        except Exception as error:  # on damaged files libsndfile and zipfile raise anything
            return sound_list.reason(error)

    read = followed(pictures.in_threads(header, rows), len(rows), "looking at sounds")
    results = [*zip(rows, read, strict=True)]
    faults = {row.file: result for row, result in results if isinstance(result, str)}
    return [result for _, result in results if not isinstance(result, str)], faults


def _header(file: IO[bytes], span: tuple[float, float] | None) -> tuple[int, float]:
    """Hz and seconds."""
    with soundfile.SoundFile(file) as opened:
        sound_list.check(opened)
        if not opened.frames:
            raise FileError("holds no samples")
        seconds = opened.frames / opened.samplerate
        return opened.samplerate, min(span[1], seconds) - span[0] if span else seconds


def _in_other_formats(left_out: dict[str, str]) -> list[str]:
    unknown = sum(name.lower().endswith(sound_list.NOT_READ) for name in left_out)
    if not unknown:
        return []
    return [f"{counted(unknown, 'sound')} in a format that is not read: {sound_list.CONVERT}"]


def _odd(rates: Array, seconds: Array) -> list[str]:
    lines = []
    if len(set(rates)) > 1:
        lines.append(
            f"the rates differ, from {rates.min():,} to {rates.max():,} Hz: if they differ between "
            "classes, a model may learn the microphone instead of the sound"
        )
    longer = int((seconds > LONGEST).sum())
    if longer:
        lines.append(
            f"longer than {LONGEST:g} s, of the {len(seconds):,} recordings looked at: {longer:,}; "
            "only their beginning would be used, so cut them into pieces of a second or two, or "
            "name these by their start and end in labels.csv"
        )
    return lines
