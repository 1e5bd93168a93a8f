"""Who or what was recorded, by the names of the files: speakers, people, machines or places."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from pipeline.datasets.reading.part_folders import part_of

# Where the name of a speaker, a machine or a place may stand
FOLDER = r"/([^/]+)/[^/]+$"
FOLDERS = (FOLDER, r"/([^/]+)/[^/]+/[^/]+$")  # as in well/session_3/camera_1/2.jpg
FIELD = r"[^\W_]*[^\W\d_][^\W_]*"  # with a letter at least
NAMES = (
    *FOLDERS,
    r"(?:^|/)([^\W_]+)[_-][^/]*$",
    rf"[_-]({FIELD})[_-][^/]*$",
    rf"[_-]({FIELD})\.[^/.]*$",
)
# A word before a number that says how often, and not who
COUNTED = r"(?i:trial|take|try|rep|run|part|clip|sample|segment)"
# Numbers behind a name that several files have, as of pieces that were cut out of one recording
PIECES = (
    r"(?:^|/)([^/]*?[^\W_][^/]*?)(?:[_-]\d+)+\.[^/.]*$",
    r"(?:^|/)([^/]*[^\W_][^/]*)[_-]\d+\.[^/.]*$",
    rf"(?:^|/)([^/]*[^\W_][^/]*)[_-]{COUNTED}\d+\.[^/.]*$",
)
FEWEST_NAMES = 3
SWAPPED = (
    "; if these are the classes, and the folders people or places, write a list with the columns "
    "file, label and group"
)


def find(labelled: Sequence[tuple[str, str]]) -> tuple[str | None, list[str]]:
    """The expression for `preprocess.group` that finds a name in every file, and the names.

    `labelled` are files with their classes. Most names stand in the files of more than one class,
    as in 7_jackson_32.wav and in 7/jackson/32.wav; so they say who or what was recorded, and not
    which sound it is. Or else files are pieces of recordings, as in well/p083_1.wav.
    """
    for expression in NAMES:
        matches = [(re.search(expression, file), label) for file, label in labelled]
        pairs = [(match[1], label) for match, label in matches if match]
        names = Counter(name for name, _ in pairs)
        classes = Counter(name for name, _ in set(pairs))  # in how many each name stands
        shared = sum(count for name, count in names.items() if classes[name] > 1)
        if (
            len(pairs) == len(labelled)
            and FEWEST_NAMES <= len(names) <= len(labelled) / 2
            and not all(
                (name.isdigit() and expression not in FOLDERS)
                or part_of(name)
                or re.fullmatch(rf"{COUNTED}\d+", name)
                for name in names
            )
            and shared > len(labelled) / 2
        ):
            return expression, sorted(names)
    for expression in PIECES:
        if names_of := _pieces(labelled, expression):
            return expression, sorted(set().union(*names_of.values()))
    return None, []


def _pieces(labelled: Sequence[tuple[str, str]], expression: str) -> dict[str, set[str]]:
    """By class, the names that the expression finds, if each has two files or more on average."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    for file, label in labelled:
        if not (match := re.search(expression, file)):
            return {}
        names[label].add(match[1])
    count = sum(map(len, names.values()))
    are_some = all(len(of_class) >= FEWEST_NAMES for of_class in names.values())
    return dict(names) if are_some and count <= len(labelled) / 2 else {}


def possible(labelled: Sequence[tuple[str, str]]) -> list[str]:
    """What may be a group of pictures, whose names say who took them less often than of sounds."""
    expression, names = find(labelled)
    if expression is None:
        return []
    line = (
        f"the names of the files may say what belongs together ({len(names)} names, such as "
        f"{names[0]} and {names[1]}): if these are people, objects or sessions, set "
        f"preprocess.group: '{expression}', or the accuracy will say nothing about new ones"
    )
    return [line + (SWAPPED if expression in NAMES and expression not in FOLDERS else "")]


def remarks(group: str | None, names: Sequence[str]) -> list[str]:
    if group in FOLDERS:
        return [
            f"the classes hold {len(names)} folders of the same names, such as {names[0]} and "
            f"{names[1]}, which are taken for speakers or places that stay in one split "
            "(preprocess.group); if they are the classes, swap the two levels of folders"
        ]
    if group and len(names) > 1:
        where = "files name" if "(" in group else f"column {group} names"
        what = "folds" if group == "fold" else "speakers or places"
        line = (
            f"the {where} {len(names)} {what}, such as {names[0]} and {names[1]}; "
            "each of them stays in one split (preprocess.group)"
        )
        if group in NAMES:
            line += SWAPPED
        return [line]
    return [
        "the names of the files do not say who or what was recorded; if several are of one speaker "
        "or machine, set preprocess.group, or the accuracy will say nothing about new ones"
    ]
