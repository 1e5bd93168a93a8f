"""Corrections of labels: a CSV that a person made, which `preprocess` and the analyses apply.

`edgeproof labels` writes such a file, and its page fills in the decisions. An example is a picture,
by its file and box, or else a row of data/raw, from 0. Its set says whose labels may change:
`training` is all that a model is fitted or chosen on, `test` the held-out part. A row changes
nothing in the other set, so a test label changes only if a person has written so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.config.params import NONE
from pipeline.config.parts import one_class_each
from pipeline.files import list_file, pictures
from pipeline.files.artifacts import Array, Description
from pipeline.process.errors import UserError

COLUMNS = (
    *("row", "file", "box", "set", "given", "suggested", "probability"),
    *("decision", "label"),
)
NEEDED = ("row", "file", "set", "given", "decision", "label")
CHANGE, DROP, KEEP = "change", "drop", "keep"
DECISIONS = (CHANGE, DROP, KEEP, "")  # empty: nobody has decided yet
TRAINING, TEST = "training", "test"

Cells = dict[str, str]


@dataclass(frozen=True)
class Edits:
    """What changes in one set: the new class of some rows, and rows to drop.

    `decided` are all rows on which a person has decided, also to keep the label.
    """

    changed: dict[int, int] = field(default_factory=dict)
    dropped: frozenset[int] = frozenset()
    decided: frozenset[int] = frozenset()

    @property
    def rows(self) -> Array:
        """The rows that change or are dropped."""
        return np.array(sorted({*self.changed, *self.dropped}), np.int64)

    def labels(self, labels: Array) -> Array:
        """The labels (N,) with the changes; the same array if there are none."""
        if not self.changed:
            return labels
        result = np.array(labels)
        result[list(self.changed)] = list(self.changed.values())
        return result

    def left(self, rows: Array) -> Array:
        """Those of the row numbers that are not dropped."""
        return rows[~np.isin(rows, list(self.dropped))] if self.dropped else rows


def load(path: Path, part: str, data: tuple[Array, Array], description: Description) -> Edits:
    """The edits of a file for the set `part`, whose rows are those of `data` (inputs, labels).

    Raises UserError for a line that does not fit the data.
    """
    if not one_class_each(description.target):
        raise UserError(
            "preprocess.corrections is for data with one class for each example; "
            f"expected {NONE} with {description.target}"
        )
    named = [(number, cells) for number, cells in read(path) if cells["set"] == part]
    finder = _Finder(data[0])
    changed, dropped, decided = {}, set(), set()
    for number, cells in named:
        where = f"line {number} of {path}"
        row = finder.row(where, cells)
        if row in decided:
            raise UserError(f"{where} names the same example as an earlier line; keep one of them")
        _check_given(where, cells, int(data[1][row]), description.class_names)
        decided.add(row)
        if cells["decision"] == CHANGE:
            changed[row] = _class(where, "label", cells["label"], description.class_names)
        elif cells["decision"] == DROP:
            dropped.add(row)
    return Edits(changed, frozenset(dropped), frozenset(decided))


def read(path: Path) -> list[tuple[int, Cells]]:
    """The decided lines of a file, each with its number. Raises UserError."""
    try:
        table = list_file.read(path, path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"preprocess.corrections {path} does not exist") from None
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        raise UserError(f"{path} has no column {missing[0]}; expected {', '.join(NEEDED)}")
    rows = enumerate(table.rows, 2)
    lines = [(number, dict(zip(table.columns, row, strict=True))) for number, row in rows]
    for number, cells in lines:
        for name in ("decision", "set"):
            cells[name] = cells[name].strip().lower()
        _check_cells(f"line {number} of {path}", cells)
    return [line for line in lines if line[1]["decision"]]


def _check_cells(where: str, cells: Cells) -> None:
    for name, expected in (("decision", DECISIONS), ("set", (TRAINING, TEST))):
        if cells[name] not in expected:
            raise UserError(
                f"{where} has the {name} {cells[name]!r}; expected "
                f"{' or '.join(value or 'an empty cell' for value in expected)}"
            )


def _check_given(where: str, cells: Cells, label: int, class_names: Sequence[str]) -> None:
    if _class(where, "given", cells["given"], class_names) != label:
        raise UserError(
            f"{where} was made when the label was {cells['given']!r}, and now the data say "
            f"{class_names[label]!r}; delete the line, or write the new label into it"
        )


def _class(where: str, column: str, name: str, class_names: Sequence[str]) -> int:
    """The number of a class: of this name, or else of the only one that differs in blanks or case.

    Raises UserError.
    """
    for same in (str, str.strip, lambda text: text.strip().casefold()):
        labels = [label for label, each in enumerate(class_names) if same(each) == same(name)]
        if len(labels) == 1:
            return labels[0]
    shown = ", ".join(class_names[:10]) + (", ..." if len(class_names) > 10 else "")
    raise UserError(
        f"{where} has the {column} {name!r}, which is not a class of the data; "
        f"expected one of {shown}"
    )


class _Finder:
    """The rows of examples."""

    def __init__(self, inputs: Array) -> None:
        photos = pictures.on_disk(inputs)
        self.count = len(inputs)
        self.files = {} if photos is None else {key: row for row, key in enumerate(keys(photos))}

    def row(self, where: str, cells: Cells) -> int:
        """Raises UserError, which begins with `where`."""
        if self.files:
            key = (cells["file"], cells.get("box", ""))
            if key not in self.files:
                box = f" with the box {key[1]}" if key[1] else ""
                raise UserError(
                    f"{where} names {key[0] or 'no file'}{box}, which is not in the data; "
                    "delete the line"
                )
            return self.files[key]
        number = cells["row"]
        if not (number.isascii() and number.isdigit() and int(number) < self.count):
            raise UserError(f"{where} names the row {number!r}; expected 0 to {self.count - 1:,}")
        return int(number)


def keys(photos: pictures.Pictures) -> list[tuple[str, str]]:
    """What names each picture: its file, and its box as four numbers."""
    return [(row.file, " ".join(map(str, row.box or ()))) for row in photos.rows]
