"""A folder for each class, or parts of the data with such folders: which files belong to what."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pipeline.datasets import _tree
from pipeline.datasets._photos import Candidate, Candidates, Listed
from pipeline.datasets._tree import Tree, nfc
from pipeline.process.errors import UserError


def listed(root: Path, tree: Tree) -> Listed:
    """The candidates among the files of a tree: none is opened. Raises UserError."""
    parts = _tree.parts(tree, _tree.base(tree))
    class_names = sorted(set(map(nfc, tree.children[parts["train"]])))
    if len(class_names) < 2:
        raise UserError(
            f"{root / parts['train']} has {len(class_names)} class folders; expected at least 2, "
            "or a CSV beside the files with the columns file and label"
        )
    _check_classes(root, tree, parts, class_names)
    return Listed(_candidates(tree, parts), class_names, tree.left_out)


def _check_classes(root: Path, tree: Tree, parts: dict[str, str], class_names: list[str]) -> None:
    """Raises UserError if another part has a class that the training part lacks."""
    for folder in parts.values():
        for name in tree.children[folder]:
            if nfc(name) not in class_names:
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
            return Candidate(file, sys.intern(nfc(name)), part) if slash else None
    return None
