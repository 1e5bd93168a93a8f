"""Which folders of a tree are the parts of the data: train, validation and test."""

from __future__ import annotations

import re
from collections.abc import Container

from pipeline.datasets.reading.file_tree import Tree, split
from pipeline.process.errors import UserError

PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing", "holdout", "heldout", "eval", "evaluation"),
}
# What may follow them, as in train_images; digits may stand anywhere, as in 1_train
AFTER_PART = ("", "set", "data", "dataset", "images", "pictures", "photos", "split")
SPELLED = {
    name + after: part for part, names in PARTS.items() for name in names for after in AFTER_PART
}


def part_of(name: str) -> str | None:
    """The part of the data that a folder of this name is: train, validation or test."""
    return SPELLED.get("".join(filter(str.isalpha, name.lower())))


def base(tree: Tree) -> str:
    """The folder that holds the classes or parts: the root, or the only folder at the top.

    Archives often hold everything in one folder.
    """
    folder = ""
    while True:
        names = tree.children[folder]
        if len(names) != 1 or part_of(names[0]) or folder in tree.with_files:
            return folder
        only = f"{folder}{names[0]}/"
        if not tree.children[only] or only in tree.with_files:
            return folder
        folder = only


def folder_of_list(tree: Tree, name: str, files: Container[str]) -> str | None:
    """The folder that has a list of this name among the `files`: the root, or else the base."""
    return next((folder for folder in ("", base(tree)) if f"{folder}{name}" in files), None)


def parts(tree: Tree) -> dict[str, str]:
    """The folders of train, validation and test; only train if the data are not in parts.

    A class may have the name of a part. Raises UserError.
    """
    folder = base(tree)
    names = tree.children[folder]
    paths_of: dict[str, list[str]] = {}
    for name in names:
        if part := part_of(name):
            paths_of.setdefault(part, []).append(f"{folder}{name}/")
    _check_strangers(tree, folder, {path for paths in paths_of.values() for path in paths})
    twice = next((part for part, paths in paths_of.items() if len(paths) > 1), None)
    if twice and any(tree.children[path] for path in paths_of.get("train", [])):
        raise UserError(
            f"{' and '.join(paths_of[twice])} are both the {twice} part; expected only one"
        )
    if twice:  # classes such as test1 and test2
        return {"train": folder}
    folders = {part: path for part, (path,) in paths_of.items()}
    if "train" not in folders:
        if folders and len(folders) == len(names):
            raise UserError(
                f"dataset.path has {', '.join(folders.values())}, but no folder train/; "
                "expected one"
            )
        return {"train": folder}
    if len(folders) < len(names) and not tree.children[folders["train"]]:
        return {"train": folder}
    return folders


def _check_strangers(tree: Tree, folder: str, parts: set[str]) -> None:
    """Raises UserError for a folder that holds the classes of the training part beside it.

    Taken for a class, or left out, it would spoil the test without a word.
    """
    paths = [f"{folder}{name}/" for name in tree.children[folder]]
    named = (path for path in paths if _is_train(split(path[:-1])[1]))
    train = next(named, None)
    if train is None:
        return
    classes = set(tree.children[_innermost(tree, train)])
    for path in paths:
        inner = tree.children[_innermost(tree, path)]
        if path not in {train, *parts} and classes & set(inner):
            raise UserError(
                f"{path} and {train} hold folders of the same names; if they are parts of the "
                "data, call them train, validation and test, and take out what is none of these"
            )


def _innermost(tree: Tree, path: str) -> str:
    """The folder below `path` that is not the only one in its folder, as in seg_train/seg_train."""
    while len(tree.children[path]) == 1 and path not in tree.with_files:
        path = f"{path}{tree.children[path][0]}/"
    return path


def _is_train(name: str) -> bool:
    """Whether one word of a name is that of the training part, as in seg_train and trainA."""
    words = re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", name)
    return part_of(name) == "train" or any(word.lower() in PARTS["train"] for word in words)
