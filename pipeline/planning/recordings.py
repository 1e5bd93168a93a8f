"""What the sounds of a user are: how many of each class, how long, at what rate, and by whom.

All files are counted, but of at most SAMPLE the beginning is read: their lengths and rates.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import soundfile

from pipeline.config.params import NONE
from pipeline.datasets import _sounds, audio_folder
from pipeline.datasets._photos import Candidate
from pipeline.datasets._recording_columns import held_together
from pipeline.datasets._sounds import SoundError
from pipeline.datasets._tree import Tree, part_of
from pipeline.files import pictures
from pipeline.files.artifacts import Array
from pipeline.files.splits import stratified
from pipeline.planning.data import Survey
from pipeline.process.errors import UserError
from pipeline.process.progress import followed
from pipeline.process.words import counted

SAMPLE = 2000  # recordings that are opened
# Where the name of a speaker, a machine or a place may stand
FOLDER = r"/([^/]+)/[^/]+$"
FIELD = r"[^\W_]*[^\W\d_][^\W_]*"  # with a letter at least
NAMES = (
    FOLDER,
    r"(?:^|/)([^\W_]+)[_-][^/]*$",
    rf"[_-]({FIELD})[_-][^/]*$",
    rf"[_-]({FIELD})\.[^/.]*$",
)
FEWEST_NAMES = 3
LONGEST = 3.0  # seconds that are proposed
Header = tuple[int, float]  # Hz, seconds


def survey(path: Path, tree: Tree, labels: str | None) -> Survey:
    """Looks at sounds in class folders, or in a list of this name. Raises UserError."""
    named = labels or audio_folder.Options().labels
    candidates, class_names, left_out, _ = audio_folder.candidates(path, tree, named)
    headers, faults = _headers(path, candidates)
    readable = [row for row in candidates if row.file not in faults]
    counts = Counter(row.label for row in readable if row.part != "test")
    for name in class_names:
        if not counts[name]:
            raise UserError(
                f"{path}: class {name} holds no readable recording for training; add some, or take "
                "its folder out"
            )
    if not headers:
        file, reason = next(iter(faults.items()))
        raise UserError(f"{path}: none of {len(faults):,} sounds can be read; {file} {reason}")
    rates, seconds = (np.array(column) for column in zip(*headers, strict=True))
    group, names = _groups([row for row in readable if row.part != "test"])
    listed = {"labels": labels} if labels else {}
    return Survey(
        values={"name": "audio_folder", "path": str(path), "other": NONE, **listed},
        class_names=list(class_names),
        examples=Counter(row.part for row in readable),
        counts={name: counts[name] for name in class_names},
        kind="sounds",
        opened=len(headers),
        rate=int(np.quantile(rates, 0.05, method="lower")),
        seconds=float(np.quantile(seconds, 0.95)),
        group=group,
        groups=len(names),
        remarks=[
            *_left_out(left_out, faults),
            *_odd(rates, seconds),
            *said(group, names),
        ],
    )


def _groups(rows: Sequence[Candidate]) -> tuple[str | None, list[str]]:
    """The value of `preprocess.group`, a column of a list if it names people, and the names.

    Without either, parts of one file stay in one split.
    """
    if column := held_together([*rows[0].columns]):
        return column, sorted({row.columns[column] for row in rows})
    expression, names = speakers([(row.file, row.label) for row in rows])
    if expression is None and any(row.seconds for row in rows):
        names = sorted({row.file for row in rows})
    return expression, names


def _headers(path: Path, candidates: Sequence[Candidate]) -> tuple[list[Header], dict[str, str]]:
    """Of SAMPLE recordings, of every class in turn; and why some cannot be read."""
    numbers = np.unique([row.label for row in candidates], return_inverse=True)[1]
    order = stratified(numbers)[:SAMPLE]
    rows = [candidates[row] for row in order]
    archive = None if path.is_dir() else zipfile.ZipFile(path)

    def header(row: Candidate) -> Header | str:
        try:
            with _opened(path, archive, row.file) as opened:
                return _header(opened, row.seconds)
        except Exception as error:  # on damaged files libsndfile and zipfile raise anything
            return _sounds.reason(error)

    read = followed(pictures.in_threads(header, rows), len(rows), "looking at sounds")
    results = [*zip(rows, read, strict=True)]
    faults = {row.file: result for row, result in results if isinstance(result, str)}
    return [result for _, result in results if not isinstance(result, str)], faults


def _opened(path: Path, archive: zipfile.ZipFile | None, file: str) -> IO[bytes]:
    return archive.open(file) if archive else audio_folder.opened(path / file)


def _header(file: IO[bytes], span: tuple[float, float] | None) -> Header:
    with soundfile.SoundFile(file) as opened:
        _sounds.check(opened)
        if not opened.frames:
            raise SoundError("holds no samples")
        seconds = opened.frames / opened.samplerate
        return opened.samplerate, min(span[1], seconds) - span[0] if span else seconds


def speakers(labelled: Sequence[tuple[str, str]]) -> tuple[str | None, list[str]]:
    """The expression for `preprocess.group` that finds a name in every file, and the names.

    `labelled` are files with their classes. Most names stand in the files of more than one class,
    as in 7_jackson_32.wav and in 7/jackson/32.wav; so they say who or what was recorded, and not
    which sound it is.
    """
    for expression in NAMES:
        matches = [(re.search(expression, file), label) for file, label in labelled]
        found = [(match[1], label) for match, label in matches if match]
        names = Counter(name for name, _ in found)
        classes = Counter(name for name, _ in set(found))  # in how many each name stands
        shared = sum(count for name, count in names.items() if classes[name] > 1)
        if (
            len(found) == len(labelled)
            and FEWEST_NAMES <= len(names) <= len(labelled) / 2
            and not all(
                (name.isdigit() and expression != FOLDER) or part_of(name) for name in names
            )
            and shared > len(labelled) / 2
        ):
            return expression, sorted(names)
    return None, []


def _left_out(left_out: dict[str, str], faults: dict[str, str]) -> list[str]:
    unknown = sum(name.lower().endswith(_sounds.NOT_READ) for name in left_out)
    cure = f"{counted(unknown, 'sound')} in a format that is not read: {_sounds.CONVERT}"
    lines = [cure] if unknown else []
    lines += [f"left out {count:,}: it {why}" for why, count in Counter(left_out.values()).items()]
    if faults:
        file, reason = next(iter(faults.items()))
        unread = counted(len(faults), "recording")
        lines.append(f"{unread} cannot be read, such as {file}: it {reason}")
    return lines


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


def said(group: str | None, names: Sequence[str]) -> list[str]:
    if group == FOLDER:
        return [
            f"the classes hold {len(names)} folders of the same names, such as {names[0]} and "
            f"{names[1]}, which are taken for speakers or places that stay in one split "
            "(preprocess.group); if they are the classes, swap the two levels of folders"
        ]
    if group and len(names) > 1:
        where = "files name" if "(" in group else f"column {group} names"
        return [
            f"the {where} {len(names)} speakers or places, such as {names[0]} and {names[1]}; "
            "each of them stays in one split (preprocess.group)"
        ]
    return [
        "the names of the files do not say who or what was recorded; if several are of one speaker "
        "or machine, set preprocess.group, or the accuracy is that for voices it knows"
    ]
