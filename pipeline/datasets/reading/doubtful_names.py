"""Names of classes that may be one or stand for none, and folders that are called like parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.datasets.reading import part_folders
from pipeline.datasets.reading.file_tree import Tree, nfc
from pipeline.process.words import verb

# What programs write in place of a label that is not known, in lower case
MISSING = ("nan", "na", "n/a", "<na>", "null", "nat", "?", "-")


def print_odd_folders(root: Path, tree: Tree) -> None:
    """Says which class folders may be meant as one, and which may hold the classes instead."""
    parts = part_folders.parts(tree)
    print_doubtful(tree.children[parts["train"]])
    if not (len(parts) == 1 and _print_parts_inside(tree, parts["train"])):
        _print_folders_inside(root, tree, parts["train"])


def print_doubtful(names: Collection[str]) -> None:
    """Says of the `names` of classes or labels which may be one, and which may stand for none."""
    print_alike(names)
    if missing := [name for name in names if name.casefold() in MISSING]:
        count = len(missing)
        print(
            f"note: {' and '.join(map(repr, missing))} {verb(count, 'is', 'are')} taken for "
            f"{verb(count, 'a class', 'classes')}; if {verb(count, 'it stands', 'they stand')} for "
            f"a label that is not known, remove {verb(count, 'its', 'their')} examples"
        )


def print_alike(names: Iterable[str]) -> None:
    """Says of two `names` that differ only in case or blanks, or as 1 and 1.0 do, what they are."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(_key(name), name)
        if other != name:
            is_one = nfc(name).strip() == nfc(other).strip()
            what = "are taken for one" if is_one else "are two; write them alike if they are one"
            print(f"note: the classes {other!r} and {name!r} {what}")
            return


def _key(name: str) -> str:
    key = "".join(nfc(name).casefold().split())
    whole, point, zeros = key.partition(".")
    return whole if point and whole.isdecimal() and zeros and not zeros.strip("0") else key


def _print_parts_inside(tree: Tree, root: str) -> bool:
    """Says that folders of parts in every class are not read as parts, if there are any."""
    inside = [
        [
            f"{name}/{child}"
            for child in tree.children[f"{root}{name}/"]
            if part_folders.part_of(child) and f"{root}{name}/{child}/" in tree.with_files
        ]
        for name in tree.children[root]
    ]
    if all(inside):
        print(
            f"note: {', '.join(inside[0])}: parts inside of a class are not read as parts, so the "
            "split is made anew; for your own, put the folders of the classes into train and test"
        )
    return all(inside)


def _print_folders_inside(root: Path, tree: Tree, train: str) -> None:
    """Says of a class whose files all lie in several folders of it that these are one class."""
    inside = {name: _with_files(tree, f"{train}{name}/") for name in tree.children[train]}
    classes_of = Counter(folder for folders in inside.values() for folder in folders)
    # Folders that several classes have are of people or places
    several = [
        name
        for name, folders in inside.items()
        if len(folders) > 1
        and all(classes_of[folder] == 1 or part_folders.part_of(folder) for folder in folders)
    ]
    if several:
        counts = Counter(file.removeprefix(train).partition("/")[0] for file in tree.files)
        name = max(several, key=counts.__getitem__)
        cure = f"name {root / train / name}, or write a list" if root.is_dir() else "write a list"
        print(
            f"note: the {tree.noun}s of {name} lie in {len(inside[name])} folders, such as "
            f"{' and '.join(inside[name][:2])}, and are one class; if the classes are in there, "
            f"{cure}"
        )
    elif tree.noun == "picture":
        _print_same_folders(inside)


def _print_same_folders(inside: Mapping[str, Sequence[str]]) -> None:
    """Says if all classes hold the same folders, as cameras with the classes in them would."""
    first, *others = (sorted(folders) for folders in inside.values())
    if len(first) > 1 and all(folders == first for folders in others):
        named = " and ".join([*inside][:2])
        print(
            f"note: all classes, such as {named}, hold the folders {' and '.join(first[:2])}; if "
            "those are the classes, swap the two levels of folders, or write a list"
        )


def _with_files(tree: Tree, folder: str) -> list[str]:
    """The folders in `folder` with files in or below them; none if it has files of its own."""
    if folder in tree.with_files:
        return []
    return [name for name in tree.children[folder] if _has_files(tree, f"{folder}{name}/")]


def _has_files(tree: Tree, folder: str) -> bool:
    inner = (f"{folder}{name}/" for name in tree.children[folder])
    return folder in tree.with_files or any(_has_files(tree, path) for path in inner)
