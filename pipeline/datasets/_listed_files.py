"""Which picture a row of a list means.

Its path is relative to the CSV. Its first folders and its suffix may be missing, and letters may be
in another case, if one picture only can be meant. Lists are often made on another machine: folders
with which all paths of the list begin, such as /content/data or C:\\photos, need not be there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipeline.datasets._tree import nfc
from pipeline.process.errors import UserError


class Files:
    """The pictures of a tree, by their path or by any end of it that only one of them has."""

    def __init__(self, names: Iterable[str], folder: str, listed: Sequence[str]) -> None:
        """`folder` is that of the list, and `listed` are the files of its rows."""
        self.there = set(names)
        self._folder = nfc(folder)
        self._names = {nfc(name): name for name in self.there}
        self._by_last: defaultdict[str, list[str]] = defaultdict(list)
        for path in sorted(self._names):
            last = path.rpartition("/")[2].lower()
            for key in {last, _without_suffix(last)}:
                self._by_last[key].append(path)
        self._absent = self._folders_that_are_absent(listed)

    def find(self, where: str, listed: str) -> str:
        """The picture that a row names, or its path in the list if there is none.

        Raises UserError, which begins with `where`, if there are several, or if the path leads out.
        """
        if not listed:
            raise UserError(f"{where} has an empty file; expected one")
        end = _plain(listed).removeprefix(self._absent)
        paths = self._meant(end)
        if len(paths) > 1:
            raise UserError(
                f"{where} has the file {end}, which may be {' or '.join(paths[:2])}; write its "
                "whole path"
            )
        if paths:
            return self._names[paths[0]]
        if end.startswith("/") or ".." in end.split("/"):
            raise UserError(
                f"{where} has the file {listed}; expected a path within the folder of the CSV"
            )
        return f"{self._folder}{end}"

    def _meant(self, end: str) -> list[str]:
        """The pictures that a path may mean; those in the same case come before all others."""
        if (whole := self._folder + end) in self._names:
            return [whole]
        paths = [
            path
            for path in self._by_last[end.rpartition("/")[2].lower()]
            if _ends(path.lower(), end.lower())
        ]
        return [path for path in paths if _ends(path, end)] or paths

    def _folders_that_are_absent(self, listed: Sequence[str]) -> str:
        """As few as possible of the folders that all rows share, so that a row is found."""
        names = list(map(_plain, filter(None, listed)))
        shared = _shared(names)
        starts = ["", *(shared[: at + 1] for at, letter in enumerate(shared) if letter == "/")]
        for start in starts:
            if any(self._meant(name.removeprefix(start)) for name in names):
                return start
        return ""


def _plain(listed: str) -> str:
    return nfc(listed.replace("\\", "/").removeprefix("./"))


def _shared(names: Sequence[str]) -> str:
    """The folders with which all names begin, with the last slash."""
    if not names:
        return ""
    first, last = min(names), max(names)
    same = next(
        (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
    )
    return first[: first.rfind("/", 0, same) + 1]


def _ends(path: str, end: str) -> bool:
    return f"/{path}".endswith(f"/{end}") or _without_suffix(f"/{path}").endswith(f"/{end}")


def _without_suffix(path: str) -> str:
    return path.rpartition(".")[0] or path
