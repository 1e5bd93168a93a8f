"""Names of classes that may be meant as one, and folders that are called like parts."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.datasets import _parts
from pipeline.datasets._tree import Tree, nfc


def print_odd_folders(tree: Tree) -> None:
    """Says which class folders may be meant as one, and which folders in them are not read."""
    parts = _parts.parts(tree)
    print_alike(tree.children[parts["train"]])
    if len(parts) == 1:
        _print_parts_inside(tree, parts["train"])


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


def _print_parts_inside(tree: Tree, root: str) -> None:
    """Says that folders of parts in every class are not read as parts."""
    inside = [
        [f"{name}/{child}" for child in tree.children[f"{root}{name}/"] if _parts.part_of(child)]
        for name in tree.children[root]
    ]
    if all(inside):
        print(
            f"note: {', '.join(inside[0])}: parts inside of a class are not read as parts, so the "
            "split is made anew; for your own, put the folders of the classes into train and test"
        )
