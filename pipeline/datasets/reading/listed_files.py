"""Which file of a tree a row of a list means.

Its path is relative to the list. Its first folders and its suffix may be missing, and letters may
be in another case, if one file only can be meant. Lists are often made on another machine: folders
with which all paths of the list begin, such as /content/data or C:\\photos, need not be there;
what follows them must be the whole path then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from pipeline.datasets.reading.file_tree import nfc
from pipeline.process.errors import UserError


class Files:
    """The files of a tree, by their path or by any end of it that only one of them has."""

    def __init__(self, names: Iterable[str], folder: str, listed: Sequence[str]) -> None:
        """`folder` is that of the list, and `listed` are the files of its rows."""
        self.there = set(names)
        self._folder = nfc(folder)
        self._names = {nfc(name): name for name in self.there}
        rows = list(map(_plain, filter(None, listed)))
        unknown = {name.lower() for name in rows if self._folder + name not in self._names}
        self._by_end: defaultdict[str, list[str]] = defaultdict(list)
        for path in sorted(self._names) if unknown else ():
            for end in unknown.intersection(_ends(path.lower())):
                self._by_end[end].append(path)
        self.absent = ""
        if rows and not any(map(self._meant, rows)):
            self._find_below_an_absent_folder(rows)

    def find(self, where: str, listed: str) -> str:
        """The file that a row names, or its path in the list if there is none.

        Raises UserError, which begins with `where`, if there are several, or if the path leads out.
        """
        if not listed:
            raise UserError(f"{where} has an empty file; expected one")
        plain = _plain(listed)
        paths = self._meant(plain)
        if len(paths) > 1:
            raise UserError(
                f"{where} has the file {plain}, which may be {' or '.join(paths[:2])}; write its "
                "whole path"
            )
        if paths:
            return self._names[paths[0]]
        end = plain.removeprefix(self.absent)
        if end.startswith("/") or ".." in end.split("/"):
            raise UserError(
                f"{where} has the file {listed}; expected a path within the folder of the list"
            )
        return f"{self._folder}{end}"

    def _meant(self, plain: str) -> list[str]:
        """The files that a path may mean; those in the same case come before all others."""
        if (whole := self._folder + plain) in self._names:
            return [whole]
        paths = self._by_end.get(plain.lower(), [])
        return [path for path in paths if plain in _ends(path)] or paths

    def _find_below_an_absent_folder(self, rows: Sequence[str]) -> None:
        """Takes a folder that all rows share, and that is not there, for the folder of the list."""
        folders = {path[: at + 1].lower() for path in self._names for at in _slashes(path)}
        by_lower = defaultdict(list)
        for path in sorted(self._names):
            by_lower[path.lower()].append(path)
        shared = _shared(rows)
        for at in _slashes(shared):
            start = shared[: at + 1]
            wholes = {row: (self._folder + row.removeprefix(start)).lower() for row in rows}
            is_there = (self._folder + start).lower() in folders
            if not is_there and any(whole in by_lower for whole in wholes.values()):
                self.absent = start
                for row, whole in wholes.items():
                    self._by_end[row.lower()] = by_lower.get(whole, [])
                return


def _plain(listed: str) -> str:
    return nfc(listed.replace("\\", "/").removeprefix("./"))


def _shared(names: Sequence[str]) -> str:
    """The folders with which all names begin, with the last slash."""
    first, last = min(names), max(names)
    same = next(
        (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
    )
    return first[: first.rfind("/", 0, same) + 1]


def _slashes(path: str) -> Iterator[int]:
    return (at for at, letter in enumerate(path) if letter == "/")


def _ends(path: str) -> set[str]:
    """The path and what follows each of its slashes, each with the suffix and without it."""
    ends = [path, *(path[at + 1 :] for at in _slashes(path))]
    return {*ends, *(str(PurePosixPath(end).with_suffix("")) for end in ends if end)}
