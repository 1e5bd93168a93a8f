"""A folder for each class, or parts of the data with such folders: which files belong to what."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pipeline.datasets.reading import names_of_files, part_folders
from pipeline.datasets.reading.file_tree import Tree, nfc
from pipeline.datasets.reading.photo_list import Candidate, Candidates, Listed
from pipeline.process.errors import UserError
from pipeline.process.words import counted

# Files in which other programs keep labels
ANNOTATIONS = (".xml", ".json", ".txt", ".xlsx", ".xls", ".ods", ".mat")


def listed(root: Path, tree: Tree) -> Listed:
    """The candidates among the files of a tree: none is opened. Raises UserError."""
    parts = part_folders.parts(tree)
    class_names = sorted(set(map(_class_name, tree.children[parts["train"]])))
    if len(class_names) < 2:
        raise UserError(
            f"{root / parts['train']} has {counted(len(class_names), 'class folder')}; expected at "
            f"least 2: make a folder for each class, or {_list_of(tree)}{_in_names(tree)}"
        )
    _check_folders(root, tree, parts["train"])
    _check_classes(root, tree, parts, class_names)
    return Listed(_candidates(tree, parts), class_names, tree.left_out)


def _check_classes(root: Path, tree: Tree, parts: dict[str, str], class_names: list[str]) -> None:
    """Raises UserError if another part has a class that the training part lacks."""
    for folder in parts.values():
        for name in tree.children[folder]:
            if _class_name(name) not in class_names:
                raise UserError(
                    f"{root / folder / name} is not a class of the training part; "
                    f"expected {', '.join(class_names)}"
                )


def _candidates(tree: Tree, parts: dict[str, str]) -> Sequence[Candidate]:
    """The files that lie in a class folder; the others are added to what is left out."""
    inside = []
    for file in tree.files:
        if _candidate(file, parts):
            inside.append(file)
        else:
            tree.left_out[file] = "lies in no folder of a class"
    return Candidates(inside, lambda file: cast(Candidate, _candidate(file, parts)))


def _candidate(file: str, parts: dict[str, str]) -> Candidate | None:
    for part, folder in parts.items():
        if file.startswith(folder):
            name, slash, _ = file.removeprefix(folder).partition("/")
            return Candidate(file, sys.intern(_class_name(name)), part) if slash else None
    return None


def _class_name(folder: str) -> str:
    return nfc(folder).strip()


def _check_folders(root: Path, tree: Tree, train: str) -> None:
    """Raises UserError if a folder holds files of labels and no picture, such as Annotations."""
    read = {_first(file, train) for file in tree.files}
    others = [file for file in tree.left_out if _first(file, train) not in read]
    for file in others:
        if (name := _first(file, train)) and file.lower().endswith(ANNOTATIONS):
            count = sum(_first(other, train) == name for other in others)
            raise UserError(
                f"{root / train / name} holds {counted(count, 'file')} such as {file}, and no "
                f"{tree.noun}, so it is not a class; take the folder out, or {_list_of(tree)}"
            )


def _first(file: str, folder: str) -> str:
    """The folder in which a file lies below `folder`; empty if it lies elsewhere."""
    name, slash, _ = file.removeprefix(folder).partition("/")
    return name if slash and file.startswith(folder) else ""


def _in_names(tree: Tree) -> str:
    """The labels that the names of the files may hold."""
    labels = names_of_files.labels(tree.files)
    if not labels:
        return ""
    return f"; the names of the files may hold the labels, such as {labels[0]} and {labels[1]}"


def _list_of(tree: Tree) -> str:
    """How labels in other files are given."""
    suffixes = {Path(file).suffix.lower() for file in tree.left_out}
    unread = [suffix for suffix in ANNOTATIONS if suffix in suffixes]
    has_boxes = unread and tree.noun == "picture"
    boxes = ", and left, top, right and bottom for boxes" if has_boxes else ""
    why = f" ({', '.join(unread)} is not read)" if unread else ""
    return f"write a CSV with the columns file and label{boxes}{why}"
