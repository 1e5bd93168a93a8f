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
LINE = re.compile(rf"{SECONDS}\t{SECONDS}\t(.*\S.*)")


def candidates(root: Path, tree: Tree) -> list[Candidate]:
    """The labelled parts of the sounds, of which half at least have a track, or else none.

    A label of a moment is left out.
    """
    source = pictures.source(root)
    tracks = {name[: -len(SUFFIX)]: name for name in tree.left_out if name.endswith(SUFFIX)}
    tracks = {
        file: tracks[stem] for file in tree.files if (stem := file.rpartition(".")[0]) in tracks
    }
    parts = part_folders.parts(tree) if tracks else {}
    found = [
        Candidate(file, label, part, seconds=(start, end))
        for part, prefix in parts.items()
        for file, track in tracks.items()
        if file.startswith(prefix)
        for start, end, label in _labels(source.read(track).decode("utf-8-sig", "replace"))
    ]
    files = {candidate.file for candidate in found}
    if len(files) < len(tree.files) / 2:
        return []
    for file in files:
        tree.left_out.pop(tracks[file])
    return found


def _labels(text: str) -> Iterator[tuple[float, float, str]]:
    for line in text.splitlines():
        if found := LINE.fullmatch(line):
            start, end = (float(seconds.replace(",", ".")) for seconds in found.groups()[:2])
            if start < end:
                yield start, end, nfc(found[3].strip())
