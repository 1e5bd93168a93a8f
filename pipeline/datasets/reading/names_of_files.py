"""What the names of files say besides numbers and dates: punch_2.csv, cat_001.jpg."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.datasets.reading.file_tree import nfc
from pipeline.datasets.reading.part_folders import part_of

DATE = r"\d{4}[-_.]?\d\d[-_.]?\d\d(?:[T\s_-]\d\d[-_:.]?\d\d(?:[-_:.]?\d\d)?)?"
# What number or date the files of a label: punch_2.csv, punch (3).csv, punch.2q1d.csv,
# 01_punch.csv, punch_2024-03-01_09-00-00.csv
NUMBER = re.compile(rf"^(?:{DATE}|\d+)[\s_-]+|[\s_-]*(?:{DATE}|\(?\d*\)?)$")
# What cameras, phones, recorders and programs call files
MADE_UP = (
    *("img", "image", "photo", "picture", "pic", "foto", "dsc", "dscn", "dscf", "pxl", "mvi"),
    *("vid", "video", "frame", "screenshot", "whatsapp", "rec", "recording", "audio", "sound"),
    *("file", "data", "copy"),
)


def label_of_name(file: str) -> str:
    """The name of a file without numbers at its ends; Edge Impulse writes one after a point."""
    return nfc(NUMBER.sub("", PurePosixPath(file).name.partition(".")[0]))


def labels(files: Sequence[str]) -> list[str]:
    """The labels that files may have in their names, as cat_001.jpg; none if they say nothing."""
    names = {label_of_name(file) for file in files}
    are_labels = 2 <= len(names) <= len(files) / 2 and not any(map(_says_nothing, names))
    return sorted(names) if are_labels else []


def _says_nothing(name: str) -> bool:
    word = re.match(r"[^\W\d_]+", name.casefold())
    return word is None or word[0] in MADE_UP or part_of(name) is not None
