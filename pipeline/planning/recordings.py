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
from pipeline.datasets import _class_folders, _sounds, audio_folder
from pipeline.datasets._photos import Candidate
from pipeline.datasets._sounds import SoundError
from pipeline.datasets._tree import Tree, part_of
from pipeline.files import pictures
from pipeline.files.artifacts import Array
from pipeline.files.splits import position_in_stratum
from pipeline.planning.data import Survey
from pipeline.process.errors import UserError
from pipeline.process.progress import followed
from pipeline.process.words import counted

SAMPLE = 2000  # recordings that are opened
# Where the name of a speaker, a machine or a place may stand
FOLDER = r"/([^/]+)/[^/]+$"
NAMES = (FOLDER, r"/([0-9A-Za-z]+)[_-]", r"_([A-Za-z]+\d*)_", r"_([A-Za-z]+\d*)\.")
FEWEST_NAMES = 3
LONGEST = 3.0  # seconds that are proposed
Header = tuple[int, float]  # Hz, seconds


def survey(path: Path, tree: Tree) -> Survey:
    """Looks at sounds in class folders. Raises UserError."""
    candidates, class_names, left_out, _ = _class_folders.listed(path, tree)
    headers, faults = _headers(path, candidates)
    readable = [row for row in candidates if row.file not in faults]
    counts = Counter(row.label for row in readable if row.part != "test")
    for name in class_names:
        if not counts[name]:
            raise UserError(
                f"{path}: class {name} holds no readable recording for training; add some, or take "
                "its folder out"
            )
    rates, seconds = (np.array(column) for column in zip(*headers, strict=True))
    group, names = speakers([(row.file, row.label) for row in readable if row.part != "test"])
    return Survey(
        values={"name": "audio_folder", "path": str(path), "other": NONE},
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
            *_held_together(group, names),
        ],
    )


def _headers(path: Path, candidates: Sequence[Candidate]) -> tuple[list[Header], dict[str, str]]:
    """Of SAMPLE recordings, of every class in turn; and why some cannot be read."""
    numbers = np.unique([row.label for row in candidates], return_inverse=True)[1]
    order = np.argsort(position_in_stratum(numbers), kind="stable")[:SAMPLE]
    files = [candidates[row].file for row in order]
    archive = None if path.is_dir() else zipfile.ZipFile(path)

    def header(file: str) -> Header | str:
        try:
            with archive.open(file) if archive else audio_folder.opened(path / file) as opened:
                return _header(opened)
        except Exception as error:  # on damaged files libsndfile and zipfile raise anything
            return _sounds.reason(error)

    read = followed(pictures.in_threads(header, files), len(files), "looking at sounds")
    results = dict(zip(files, read, strict=True))
    faults = {file: result for file, result in results.items() if isinstance(result, str)}
    return [result for result in results.values() if not isinstance(result, str)], faults


def _header(file: IO[bytes]) -> Header:
    with soundfile.SoundFile(file) as opened:
        _sounds.check(opened)
        if not opened.frames:
            raise SoundError("holds no samples")
        return opened.samplerate, opened.frames / opened.samplerate


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
            and not all(name.isdigit() or part_of(name) for name in names)
            and shared > len(labelled) / 2
        ):
            return expression, sorted(names)
    return None, []


def _left_out(left_out: dict[str, str], faults: dict[str, str]) -> list[str]:
    lines = [f"left out {count:,}: it {why}" for why, count in Counter(left_out.values()).items()]
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
            f"{longer:,} of the {len(seconds):,} recordings looked at are longer than "
            f"{LONGEST:g} s, and only their beginning would be used; cut them into pieces of a "
            "second or two"
        )
    return lines


def _held_together(group: str | None, names: Sequence[str]) -> list[str]:
    if group == FOLDER:
        return [
            f"the classes hold {len(names)} folders of the same names, such as {names[0]} and "
            f"{names[1]}, which are taken for speakers or places that stay in one split "
            "(preprocess.group); if they are the classes, swap the two levels of folders"
        ]
    if names:
        return [
            f"the files name {len(names)} speakers or places, such as {names[0]} and {names[1]}; "
            "each of them stays in one split (preprocess.group)"
        ]
    return [
        "the names of the files do not say who or what was recorded; if several are of one speaker "
        "or machine, set preprocess.group, or the accuracy is that for voices it knows"
    ]
