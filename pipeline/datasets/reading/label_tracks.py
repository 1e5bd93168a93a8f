"""Label tracks, as Audacity exports them: beside a sound a text of its name, a line for each label.

A line is the second at which a label begins, that at which it ends, and the label, between tabs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.datasets.reading import part_folders
from pipeline.datasets.reading.file_tree import Tree, nfc
from pipeline.datasets.reading.photo_list import Candidate
from pipeline.files import pictures

SUFFIX = ".txt"
SECONDS = r"(\d+(?:[.,]\d+)?)"
LINE = re.compile(rf"{SECONDS}\t{SECONDS}\t([^\t]*\S[^\t]*)")


def candidates(root: Path, tree: Tree) -> list[Candidate]:
    """The labelled parts of the sounds, of which half at least have a track, or else none.

    Nor are there any if folders are classes. A label of a moment is left out, and of two sounds
    with one name the second.
    """
    sounds = {file.rpartition(".")[0]: file for file in reversed(tree.files)}
    stems = [name.removesuffix(SUFFIX) for name in _texts(tree)]
    tracks = {sounds[stem]: f"{stem}{SUFFIX}" for stem in stems if stem in sounds}
    parts = part_folders.parts(tree) if tracks else {}
    if not tracks or len(tree.children[parts["train"]]) > 1:
        return []
    source = pictures.source(root)
    labelled = [
        Candidate(file, label, part, seconds=(start, end))
        for part, prefix in parts.items()
        for file, track in tracks.items()
        if file.startswith(prefix)
        for start, end, label in _labels(source.read(track).decode("utf-8-sig", "replace"))
    ]
    files = {candidate.file for candidate in labelled}
    if len(files) < len(tree.files) / 2:
        return []
    for file in files:
        tree.left_out.pop(tracks[file])
    return labelled


def _texts(tree: Tree) -> list[str]:
    """Those that can be read."""
    left_out = tree.left_out.items()
    return [name for name, why in left_out if name.endswith(SUFFIX) and why == tree.lacks_suffix]


def _labels(text: str) -> Iterator[tuple[float, float, str]]:
    for line in text.splitlines():
        if entry := LINE.fullmatch(line):
            start, end = (float(seconds.replace(",", ".")) for seconds in entry.groups()[:2])
            if start < end:
                yield start, end, nfc(entry[3].strip())
