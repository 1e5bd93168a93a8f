"""The files in a folder or zip file of pictures or sounds: what is read, or left out and why."""

from __future__ import annotations

import os
import stat
import unicodedata
import zipfile
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.files import pictures, s3
from pipeline.files.pictures import shards
from pipeline.files.pictures.shards import Shards
from pipeline.files.s3 import Bucket
from pipeline.process.errors import UserError
from serving import framing

# What operating systems, servers and notebooks leave in folders, in lower case
JUNK = {
    "__macosx",
    "thumbs.db",
    "desktop.ini",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}
# Pictures of phones, cameras and programs that are not read here
OTHER_PICTURES = (
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".tga", ".psd", ".svg"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
)
# Pictures hardly compress, so an archive that unpacks to a hundred times its size is an attack.
LARGEST_RATIO, SMALL_BYTES = 100, 2**30
JUNK_REASON = "is hidden or belongs to the operating system"

Open = Callable[[str], IO[bytes]]


class FileError(Exception):
    """A file that is left out; the message says why, and follows its name."""


@dataclass
class Tree:
    """Paths below the root, with slashes: regular `files`, `folders`, and `left_out` with reasons.

    Folders end in a slash; the root is the empty path. `suffixes` are those of a `noun`.
    """

    suffixes: tuple[str, ...] = framing.SUFFIXES
    noun: str = "picture"
    files: list[str] = field(default_factory=list)
    folders: set[str] = field(default_factory=lambda: {""})
    left_out: dict[str, str] = field(default_factory=dict)

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """The sorted names of the folders in each folder."""
        result: dict[str, list[str]] = {folder: [] for folder in self.folders}
        for folder in sorted(self.folders - {""}):
            parent, name = split(folder.removesuffix("/"))
            result[parent].append(name)
        return result

    @cached_property
    def with_files(self) -> set[str]:
        """The folders that hold pictures, or sounds, directly."""
        return {split(file)[0] for file in self.files}

    def leave_out_unlisted(self, listed: Container[str]) -> None:
        for name in self.files:
            if name not in listed:
                self.left_out[name] = "is not in the list"

    def add(self, name: str) -> None:
        """Adds a file that has one of the suffixes, and says of any other that it has not."""
        lower = name.lower()
        if lower.endswith(self.suffixes):
            self.files.append(name)
        elif self.noun == "picture" and lower.endswith(OTHER_PICTURES):
            suffix = PurePosixPath(lower).suffix
            self.left_out[name] = f"is {suffix}, which is not read; convert it to JPEG or PNG"
        else:
            self.left_out[name] = self.lacks_suffix

    @property
    def lacks_suffix(self) -> str:
        """Why a file is left out that could be read, but has none of the suffixes."""
        return f"lacks the suffix of a {self.noun}"


def split(name: str) -> tuple[str, str]:
    """The folder of a path, with its slash, and the name in it."""
    parent, slash, last = name.rpartition("/")
    return parent + slash, last


def is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK


def nfc(name: str) -> str:
    """macOS writes the letter and its accent as two characters; other systems as one."""
    return unicodedata.normalize("NFC", name)


def read(
    root: Path,
    key: str = "dataset.path",
    suffixes: tuple[str, ...] = framing.SUFFIXES,
    noun: str = "picture",
) -> Tree:
    """All files below a folder or in a zip file, which `key` names. Raises UserError."""
    of_pictures = suffixes == framing.SUFFIXES
    in_bucket = of_pictures and s3.is_address(root)
    if not in_bucket and not root.exists():
        raise UserError(f"{key} {root} does not exist; name a folder or a zip file")
    tree = Tree(suffixes, noun)
    source = pictures.source(root) if in_bucket or (of_pictures and root.is_dir()) else None
    if isinstance(source, Shards):
        for entry in chain.from_iterable(source.entries.values()):
            _add_member(tree, entry)
        _add_names(tree, source.store.names())
    elif isinstance(source, Bucket):
        _add_names(tree, source.names())
    elif root.is_dir():
        _folder(root, tree)
    else:
        _archive(root, key, tree)
    tree.files.sort()
    return tree


@contextmanager
def opened(root: Path) -> Iterator[Open]:
    """Opens the files of a tree: those below a folder, or in a zip file."""

    def in_folder(name: str) -> IO[bytes]:
        if not stat.S_ISREG((root / name).stat().st_mode):  # a pipe might never end
            raise FileError("is not a file")
        return (root / name).open("rb")

    if root.is_dir():
        yield in_folder
        return
    with zipfile.ZipFile(root) as archive:
        yield archive.open


def _folder(root: Path, tree: Tree) -> None:
    """Each folder is read once, and links to folders after all real ones, so none leads round."""
    visited = set[tuple[int, int]]()
    todo, links = deque([""]), deque[str]()
    while todo or links:
        folder = todo.popleft() if todo else links.popleft()
        try:
            status = (root / folder).stat()
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            tree.left_out[folder] = f"could not be read: {error.strerror}"
            continue
        if (status.st_dev, status.st_ino) in visited:
            tree.left_out[folder] = "leads to a folder that has been read already"
            continue
        visited.add((status.st_dev, status.st_ino))
        tree.folders.add(folder)
        for entry in entries:
            name = folder + _utf8(root / folder, entry.name)
            if is_junk(entry.name):
                tree.left_out[name] = JUNK_REASON
            elif entry.is_file(follow_symlinks=False):  # without another look at the disk
                tree.add(name)
            elif reason := _out_of_reach(entry):
                tree.left_out[name] = reason
            elif Path(entry).is_dir():
                (links if entry.is_symlink() else todo).append(f"{name}/")
            elif Path(entry).is_file():
                tree.add(name)
            else:  # a pipe, for example, or a link to nothing
                tree.left_out[name] = "is not a file"


def _out_of_reach(entry: os.DirEntry[str]) -> str | None:
    """Why nobody can tell what it is, as of a link into a folder that this user may not enter."""
    try:
        Path(entry).is_dir()
    except OSError as error:
        return f"could not be read: {error.strerror}"
    return None


def _utf8(folder: Path, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(folder / name).decode("utf-8", "backslashreplace")
        raise UserError(
            f"the name of {shown} is not UTF-8, so DVC cannot track it; rename the file"
        ) from None
    return name


def _archive(path: Path, key: str, tree: Tree) -> None:
    """Members are read in place, so a path that leads out of the archive could do no harm."""
    try:
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
    except shards.UNREADABLE as error:
        raise UserError(
            f"{key} {path} is neither a folder nor a readable zip file ({error})"
        ) from None
    size = sum(entry.file_size for entry in entries)
    if size > max(LARGEST_RATIO * path.stat().st_size, SMALL_BYTES):
        raise UserError(
            f"{key} {path} unpacks to {size:,} bytes, more than {LARGEST_RATIO} times its "
            f"own; expected {tree.noun}s, which hardly compress"
        )
    names = "\n".join(entry.filename for entry in entries)
    if "\\" in names and "/" not in names:
        raise UserError(
            f"{key} {path} has backslashes in its paths, as older programs of Windows write them; "
            "unpack it on Windows, or with `unzip`, and name the folder"
        )
    for entry in {entry.filename: entry for entry in entries}.values():  # the last of one name
        _add_member(tree, entry)


def _add_names(tree: Tree, names: Iterable[str]) -> None:
    """Those of objects in a bucket, or of files beside shards."""
    for name in names:
        if not name.lower().endswith(shards.SUFFIX):
            _add_member(tree, zipfile.ZipInfo(name))


def _add_member(tree: Tree, entry: zipfile.ZipInfo) -> None:
    names = entry.filename.removesuffix("/").split("/")
    if entry.filename.startswith("/") or not {"", ".", ".."}.isdisjoint(names):
        tree.left_out[entry.filename] = "is a path that leads out of the archive"
    elif any(map(is_junk, names)):
        tree.left_out[entry.filename] = JUNK_REASON
    elif stat.S_ISLNK(entry.external_attr >> 16):
        tree.left_out[entry.filename] = "is a link"
    else:
        folders = names if entry.is_dir() else names[:-1]
        tree.folders |= {"/".join(folders[: depth + 1]) + "/" for depth in range(len(folders))}
        if not entry.is_dir():
            tree.add(entry.filename)
