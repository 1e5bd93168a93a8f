"""Copies among pictures that have all been opened, and what to do about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pipeline.datasets.reading.photo_list import Candidate
from pipeline.files import groups
from pipeline.files.pictures.picture_table import Table
from pipeline.process.words import counted


def remarks(pictures: Table, rows: Sequence[Candidate], have_labels: bool) -> list[str]:
    """`rows` name the parts and labels of the pictures; a number is no label."""
    copies = groups.of_copies(pictures)
    if not copies:
        return []
    part, labels = {row.file: row.part for row in rows}, defaultdict[str, set[str]](set)
    for row in rows:
        labels[row.file].add(row.label)
    across = [files for files in copies if len({part[file] for file in files}) > 1]
    cure = (
        "remove those that are in two of your parts"
        if across
        else "each group of them stays in one split"
    )
    lines = [
        f"{sum(map(len, copies)):,} pictures are copies or near copies, such as "
        f"{' and '.join((across or copies)[0][:2])}; {cure}"
    ]
    torn = [files for files in copies if have_labels and _differ([labels[file] for file in files])]
    if torn:
        other = next(file for file in torn[0] if labels[file] != labels[torn[0][0]])
        lines.append(
            f"{counted(len(torn), 'group')} of copies with different labels, such as {torn[0][0]} "
            f"and {other}; one of the labels is probably wrong: correct it, or remove the picture"
        )
    return lines


def _differ(labels: Sequence[set[str]]) -> bool:
    """Whether copies have several labels; those of the boxes in one file may differ anyway."""
    return all(len(of_file) == 1 for of_file in labels) and len(set().union(*labels)) > 1
