"""Class folders that may name people or places, while the names of the files say the class.

So are RAVDESS, whose folders are actors, and photos that were sorted by who took them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.datasets.reading import names_of_files
from pipeline.datasets.reading.file_tree import nfc
from pipeline.datasets.reading.recording_columns import HELD_TOGETHER

WHO = (*HELD_TOGETHER, "actor", "driver", "house", "room", "site", "day", "date", "device", "video")
NUMBERED = re.compile(rf"({'|'.join(WHO)})s?[ ._-]*\d+|{names_of_files.DATE}.*", re.IGNORECASE)
CURE = "write a list with the columns file, label and group"


def remarks(labelled: Sequence[tuple[str, str]]) -> list[str]:
    """What to do if the folders are not the classes; `labelled` are files with their classes."""
    names = sorted({label for _, label in labelled})
    if len(names) < 2 or not all(label in _folders(file) for file, label in labelled):
        return []
    if all(map(NUMBERED.fullmatch, names)):
        return [
            f"the classes are the folders {names[0]}, {names[1]} and so on: if the folders "
            f"name people, places or days, and the file names hold the label, {CURE}"
        ]
    if labels := _shared_names(labelled):
        return [
            f"files of the same names, such as {labels[0]} and {labels[1]}, lie in {names[0]}, "
            f"{names[1]} and so on: if those are the labels, and the folders people or places, "
            f"{CURE}"
        ]
    return []


def _folders(file: str) -> list[str]:
    return [nfc(part).strip() for part in PurePosixPath(file).parts[:-1]]


def _shared_names(labelled: Sequence[tuple[str, str]]) -> list[str]:
    """The labels in the names of files, if each is in at least two folders, and in most."""
    folders = defaultdict[str, set[str]](set)
    for file, label in labelled:
        folders[names_of_files.label_of_name(file)].add(label)
    fewest = max(2, len({label for _, label in labelled}) / 2)
    if any(len(classes) < fewest for classes in folders.values()):
        return []
    return names_of_files.labels([file for file, _ in labelled])
