"""A CSV beside the pictures that names them and their labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.datasets import _class_folders, _parts, _tree, image_list
from pipeline.datasets._tree import Tree
from pipeline.files import list_file, pictures
from pipeline.process.errors import UserError

BEGINNING = 1000  # bytes that hold the names of the columns


def find(path: Path, tree: Tree) -> str | None:
    """The CSV beside the pictures that names them and their labels, or None if folders do.

    Raises UserError if there are neither class folders nor a single such CSV.
    """
    columns = _columns_of_lists(path, tree)
    exact = [
        name for name, names in columns.items() if "file" in names and {"label", "class"} & names
    ]
    if len(exact) == 1:
        return exact[0]
    if not columns or _has_class_folders(path, tree):
        return None
    usable = [name for name, names in columns.items() if image_list.is_list(names)] or [*columns]
    if len(usable) > 1:
        raise UserError(
            f"{path} has no class folders, and several lists: {', '.join(sorted(usable))}; name "
            f"one of them, such as {path / min(usable)}"
        )
    return usable[0]


def is_of_sensors(path: Path) -> bool:
    """Whether a CSV is a recording itself, as its columns name no files with labels."""
    with path.open("rb") as file:
        start = file.read(BEGINNING)
    is_text = not start.startswith((b"\xff\xfe", b"\xfe\xff"))  # in UTF-16
    return is_text and not image_list.is_list({*list_file.columns(start)})


def _columns_of_lists(path: Path, tree: Tree) -> dict[str, set[str]]:
    """The columns of each CSV that lies beside the classes or above."""
    source, base = pictures.source(path), _parts.base(tree)
    columns = {}
    for name in tree.left_out:
        folder, last = _tree.split(name)
        if last.lower().endswith(".csv") and folder in ("", base):
            columns[last] = set(list_file.columns(source.read(name)[:BEGINNING]))
    return columns


def _has_class_folders(path: Path, tree: Tree) -> bool:
    try:
        _class_folders.listed(path, replace(tree, left_out={**tree.left_out}))
    except UserError:
        return False
    return True
