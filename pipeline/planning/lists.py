"""A CSV beside the pictures that names them and their labels."""

from __future__ import annotations

import glob
import re
from collections.abc import Container
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.datasets import audio_folder, image_list
from pipeline.datasets.reading import class_folders, file_tree, part_folders, sound_list
from pipeline.datasets.reading.file_tree import Tree
from pipeline.datasets.reading.label_columns import Row
from pipeline.files import list_file, pictures
from pipeline.process.errors import UserError

BEGINNING = 10_000  # bytes that hold the names of the columns and the first row
SUFFIXES = (".csv", ".tsv")
MEDIA = (*file_tree.Tree.suffixes, *sound_list.SUFFIXES)
FOLD = re.compile(r"fold[ _-]?\d+", re.IGNORECASE)  # of a cross-validation: no class


def find(path: Path, tree: Tree) -> str | None:
    """The CSV beside the pictures that names them and their labels, or None if folders do.

    Without class folders, and if there is no CSV beside them, it may also lie in a folder of the
    first level, such as `meta`. Raises UserError if there are several.
    """
    base = part_folders.base(tree)
    lists = _lists(path, tree, {"", base})
    exact = [name for name, row in lists.items() if "file" in row and {"label", "class"} & {*row}]
    if len(exact) == 1:
        return exact[0]
    if _has_class_folders(path, tree):
        return None
    is_list = audio_folder.is_list if tree.noun == "sound" else image_list.is_list
    inner = {f"{base}{name}/" for name in tree.children[base]}
    searched = lists or _lists(path, tree, inner)
    usable = [name for name, row in searched.items() if is_list(row)]
    if not usable and len(tree.children[base]) < 2:  # else the folders may have another fault
        usable = [*lists]
    elif not usable:
        usable = [name for name, row in lists.items() if image_list.file_of(row) is not None]
    if not usable:
        return None
    if len(usable) > 1:
        train = [name for name in usable if part_folders.part_of(Path(name).stem) == "train"]
        raise UserError(
            f"{path} has no class folders, and several lists: {', '.join(sorted(usable))}; name "
            f"one of them, such as {path / min(train or usable)}"
        )
    return usable[0]


def folder_of(path: Path) -> tuple[Path, str]:
    """The folder whose files a CSV names, and the path of the CSV below that.

    It is its own, or the one above if no picture or sound is beside or below it, and its files are
    there.
    """
    others = (file for file in path.parent.rglob("*") if not file_tree.is_junk(file.name))
    is_alone = not any(file.suffix.lower() in MEDIA for file in others)
    file = image_list.file_of(_first_row(path)) if is_alone else None
    is_above = file is not None and _is_above(path, file)
    folder = path.parent.parent if is_above else path.parent
    return folder, path.relative_to(folder).as_posix()


def lacks_number(path: Path, column: str) -> str:
    return (
        f"--number is {column}, and {path} has no list with that column; name the CSV that has "
        f"it, or write one with the columns file and {column}"
    )


def is_of_sensors(path: Path, number: str | None = None) -> bool:
    """Whether a CSV is a recording itself, as its columns name no files with labels.

    With a `number` to predict a list needs no label, so any column of files makes it one.
    """
    with path.open("rb") as file:
        is_text = file.read(2) not in (b"\xff\xfe", b"\xfe\xff")  # in UTF-16
    row = _first_row(path)
    name = image_list.file_of(row) or ""
    named = name.lower()
    if number is not None and name:
        return False
    if not is_text or image_list.is_list(row) or named.endswith(file_tree.Tree.suffixes):
        return False
    if _names_picture(path, name):
        return False
    # A recording may have columns such as id and event
    return not (named.endswith(sound_list.SUFFIXES) and audio_folder.is_list(row))


def _names_picture(path: Path, file: str) -> bool:
    """Whether a CSV names, without its suffix, a picture beside it or in a folder beside it."""
    name = glob.escape(PurePosixPath(file.replace("\\", "/")).name)
    matches = [*path.parent.glob(f"{name}.*"), *path.parent.glob(f"*/{name}.*")] if name else []
    return any(match.suffix.lower() in file_tree.Tree.suffixes for match in matches)


def check_pictures(path: Path) -> None:
    """Raises UserError if a CSV, in whose folder there are no pictures, names some."""
    file = image_list.file_of(_first_row(path)) or ""
    if file.lower().endswith(file_tree.Tree.suffixes):
        raise UserError(
            f"{path} names pictures such as {file}, which are not in {path.parent}; put the CSV "
            "into the folder that holds them"
        )


def _first_row(path: Path) -> Row:
    with path.open("rb") as file:
        return list_file.first_row(file.read(BEGINNING))


def _is_above(path: Path, file: str) -> bool:
    """Whether a file that a list names lies above it, or at most two folders below that.

    Its first folders may be missing, as they are of another machine.
    """
    named = PurePosixPath(file.replace("\\", "/").lstrip("/"))
    ends = [PurePosixPath(*named.parts[first:]) for first in range(len(named.parts))]
    deeper = [f"{folders}{glob.escape(str(named))}" for folders in ("*/", "*/*/")]
    own, above = path.parent, path.parent.parent
    try:
        if (own / named.name).exists():
            return False
        is_there = any((above / end).exists() for end in ends)
        return is_there or any(any(above.glob(pattern)) for pattern in deeper)
    except OSError:  # the name is too long for a file
        return False


def _lists(path: Path, tree: Tree, folders: Container[str]) -> dict[str, Row]:
    """The first row of each CSV in these folders, by its path below the base.

    A tsv counts only if no csv has a column of files.
    """
    source, base = pictures.source(path), part_folders.base(tree)
    rows = {
        name.removeprefix(base): list_file.first_row(source.read(name, 0, BEGINNING))
        for name in tree.left_out
        if name.lower().endswith(SUFFIXES) and file_tree.split(name)[0] in folders
    }
    csvs = {name: row for name, row in rows.items() if name.lower().endswith(".csv")}
    return csvs if any(image_list.file_of(row) is not None for row in csvs.values()) else rows


def _has_class_folders(path: Path, tree: Tree) -> bool:
    """Whether at least two folders hold files, and are not the folds of a cross-validation."""
    try:
        listed = class_folders.listed(path, replace(tree, left_out={**tree.left_out}))
    except UserError:
        return False
    first = next((row.label for row in listed.candidates), None)
    has_two = any(row.label != first for row in listed.candidates)
    return has_two and not all(map(FOLD.fullmatch, listed.class_names))
