"""A CSV beside the pictures that names them and their labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pipeline.datasets import (
    _class_folders,
    _parts,
    _recording_files,
    _sounds,
    _tree,
    audio_folder,
    image_list,
)
from pipeline.datasets._tree import Tree
from pipeline.files import list_file, pictures
from pipeline.process.errors import UserError

BEGINNING = 1000  # bytes that hold the names of the columns
SUFFIXES = (".csv", ".tsv")
FOLD = re.compile(r"fold[ _-]?\d+", re.IGNORECASE)  # of a cross-validation: no class


def find(path: Path, tree: Tree) -> str | None:
    """The CSV beside the pictures that names them and their labels, or None if folders do.

    Without class folders it may also lie in a folder of the first level, such as `meta`. Raises
    UserError if there are several.
    """
    base = _parts.base(tree)
    columns = _columns_of_lists(path, tree, lambda folder: folder in ("", base))
    exact = [
        name for name, names in columns.items() if "file" in names and {"label", "class"} & names
    ]
    if len(exact) == 1:
        return exact[0]
    if _has_class_folders(path, tree):
        return None
    is_list = audio_folder.is_list if tree.noun == "sound" else image_list.is_list
    usable = [name for name, names in columns.items() if is_list(names)]
    if not usable:
        inner = [f"{base}{name}/" for name in tree.children[base]]
        below = _columns_of_lists(path, tree, inner.__contains__)
        usable = [name for name, names in below.items() if is_list(names)] or [*columns]
    if not usable:
        return None
    if len(usable) > 1:
        raise UserError(
            f"{path} has no class folders, and several lists: {', '.join(sorted(usable))}; name "
            f"one of them, such as {path / min(usable)}"
        )
    return usable[0]


def folder_of(path: Path) -> tuple[Path, str]:
    """The folder whose files a CSV names, its own or the one above, and its path below that."""
    others = {file.suffix.lower() for file in path.parent.iterdir() if file.is_file()}
    is_alone = not any(map(Path.is_dir, path.parent.iterdir())) and others.isdisjoint(
        {*_tree.Tree().suffixes, *_sounds.SUFFIXES, *_recording_files.SUFFIXES} - {*SUFFIXES}
    )
    folder = path.parent.parent if is_alone else path.parent
    return folder, path.relative_to(folder).as_posix()


def is_of_sensors(path: Path) -> bool:
    """Whether a CSV is a recording itself, as its columns name no files with labels."""
    with path.open("rb") as file:
        start = file.read(BEGINNING)
    is_text = not start.startswith((b"\xff\xfe", b"\xfe\xff"))  # in UTF-16
    return is_text and not image_list.is_list({*list_file.columns(start)})


def _columns_of_lists(
    path: Path, tree: Tree, is_searched: Callable[[str], bool]
) -> dict[str, set[str]]:
    """The columns of each CSV in the folders that are searched, by its path below the base."""
    source, base = pictures.source(path), _parts.base(tree)
    return {
        name.removeprefix(base): set(list_file.columns(source.read(name)[:BEGINNING]))
        for name in tree.left_out
        if name.lower().endswith(SUFFIXES) and is_searched(_tree.split(name)[0])
    }


def _has_class_folders(path: Path, tree: Tree) -> bool:
    """Whether at least two folders hold files, and are not the folds of a cross-validation."""
    try:
        listed = _class_folders.listed(path, replace(tree, left_out={**tree.left_out}))
    except UserError:
        return False
    first = next((row.label for row in listed.candidates), None)
    has_two = any(row.label != first for row in listed.candidates)
    return has_two and not all(map(FOLD.fullmatch, listed.class_names))
