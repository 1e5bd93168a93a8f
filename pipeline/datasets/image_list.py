"""Your own pictures, named by a CSV: file and label, and optionally split, a box and anything else.

`dataset.path` is a folder or a zip file, which holds the pictures and the CSV, `dataset.labels`.
`label_columns` says which columns hold several labels at once, or a number, and `listed_files`
which picture a row means. A box (left, top, right, bottom) is the part of the upright picture to
use, in pixels; a file may have several rows with other boxes. `preprocess.group` may name any
column.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from pipeline.config import section
from pipeline.config.params import Dataset
from pipeline.config.parts import is_number, one_class_each
from pipeline.datasets import Raw
from pipeline.datasets.reading import (
    doubtful_names,
    file_tree,
    label_columns,
    label_meaning,
    part_folders,
    photo_list,
)
from pipeline.datasets.reading.file_tree import Tree
from pipeline.datasets.reading.label_columns import LABEL, SEVERAL, TAG, Row, spelling
from pipeline.datasets.reading.listed_files import Files
from pipeline.datasets.reading.photo_list import Candidate, Listed
from pipeline.files import list_file, pictures, s3
from pipeline.files.list_file import ListFile
from pipeline.files.pictures.picture_file import Box
from pipeline.files.pictures.picture_table import OWN_COLUMNS
from pipeline.process.errors import UserError

STRAY = 0.05  # the share of pictures that may have two classes by mistake; a note names them
PHOTOS = True  # files of any size, which dataset.framing makes inputs of
# A column may have any of these names. Of several for the file, the first counts.
FILE = (
    "file",
    "filename",
    "filepath",
    "path",
    "image",
    "imagepath",
    "imagename",
    "imageid",
    "id",
    "fname",
    *("audio", "audiofile", "audiofilename", "audiopath"),
    *("wav", "wavfile", "wavfilename", "wavpath", "clip", "slicefilename"),
)
# A name such as cough_filename, if none of FILE is there and it is the only one of its kind
ENDS = re.compile(r"[ _-]file[ _-]?(name|path)$", re.IGNORECASE)
NUMBERED = "classid"  # is no label beside a column that names the class
BOX = ("left", "top", "right", "bottom")
SIZED = ("left", "top", "width", "height")  # a box, if no column names its other edges
# As other programs call them
CORNER = {
    **dict(zip(SIZED, SIZED, strict=True)),
    **dict(zip(("x", "y", "w", "h"), SIZED, strict=True)),
}
EDGES = {
    **dict(zip(BOX, BOX, strict=True)),
    **dict(zip(("xmin", "ymin", "xmax", "ymax"), BOX, strict=True)),
    **dict(zip(("x1", "y1", "x2", "y2"), BOX, strict=True)),
    **dict(zip(("roix1", "roiy1", "roix2", "roiy2"), BOX, strict=True)),
}
MIDDLE = ("xcenter", "ycenter", "xcentre", "ycentre")  # of a box in YOLO's files


class Options(section.Options):
    labels: str = "labels.csv"  # the CSV
    number: str | None = None  # the column of the number to predict


def load(params: Dataset) -> Raw:
    return photo_list.dataset(params, listed(params))


def listed(params: Dataset) -> Listed:
    """What there is to read: no picture is opened. Raises UserError."""
    root, options = Path(params.path), params.options(Options)
    if root.suffix.lower() == ".csv":
        raise UserError(
            f"dataset.path {root} is a CSV; name the folder or zip file that holds it and the "
            f"pictures, and set dataset.labels to {root.name}"
        )
    tree = file_tree.read(root)
    folder, rows = rows_of(root, tree, options.labels, options.number)
    path = s3.shown(root / folder / options.labels)
    own = ("split", *OWN_COLUMNS)
    others = own if rows and {*BOX} <= {*rows[0]} else set(own).difference(BOX)
    labels = label_columns.read(path, rows, options.number, others)
    files = Files(tree.files, folder, [row["file"] for row in rows])
    split = split_column(path, rows, labels.columns)
    candidates = []
    for number, (row, label) in enumerate(zip(rows, labels.texts, strict=True), 2):
        known = {name: value for name, value in row.items() if name not in labels.columns}
        where = f"row {number} of {path}"
        candidates.append(candidate_of(where, part_of(where, row, split), known, label, files))
    candidates = photo_list.each_once(path, candidates)
    labels.check(path)
    target = labels.target
    if one_class_each(target):
        _check_classes(path, candidates)
    elif not is_number(target):
        target, candidates = with_labels_joined(path, candidates, "picture")
    if not is_number(target):
        doubtful_names.print_doubtful(labels.names)
    if files.absent:
        print(f"note: {path} names files in {files.absent}, which is not there: it is left out")
    named = {candidate.file for candidate in candidates}
    if files.there.isdisjoint(named):
        raise UserError(
            f"{path} names none of the {len(tree.files):,} pictures in {s3.shown(root)}: its row 2 "
            f"has the file {rows[0]['file']}; expected their paths, relative to the CSV"
        )
    tree.leave_out_unlisted(named)
    return Listed(candidates, labels.names, tree.left_out, target)


def _check_classes(path: str, candidates: list[Candidate]) -> None:
    """Raises UserError if more than a stray picture has two classes."""
    classes = {row.excerpt: row.label for row in reversed(candidates)}
    wrong = [row for row in candidates if classes[row.excerpt] != row.label]
    if len(wrong) > STRAY * len(classes):
        row = wrong[0]
        raise UserError(
            f"{path} says that {row.file} is {classes[row.excerpt]} and "
            f"{row.label}; expected one label for a picture: take out the wrong row, or, if "
            "it may have several at once, name them in a column labels"
        )


def with_labels_joined(
    path: str, candidates: list[Candidate], noun: str
) -> tuple[str, list[Candidate]]:
    """The rows of one example, a `noun`, joined to one; they are classes if each has one label."""
    joined = defaultdict[tuple[object, ...], set[str]](set)
    for row in candidates:
        joined[row.excerpt].update(label_meaning.separate(row.label))
    if len(joined) < len(candidates):
        first = {(row.excerpt, row.part): row for row in reversed(candidates)}
        print(f"note: {path} has several rows for a {noun}: it has the labels of all of them")
        candidates = [
            replace(row, label=label_meaning.joined(joined[row.excerpt]))
            for row in reversed(first.values())
        ]
    if any(len(names) != 1 for names in joined.values()):
        return "labels", candidates
    print(f"note: each {noun} of {path} has exactly one label, so they are classes")
    return "classes", candidates


def rows_of(root: Path, tree: Tree, name: str, number: str | None = None) -> tuple[str, list[Row]]:
    """The folder of the CSV, and its rows; of a list with a `number`, no column is a label."""
    folder = part_folders.folder_of_list(tree, name, tree.left_out)
    if folder is None:
        raise UserError(
            f"dataset.path {s3.shown(root)} holds no {name}; set dataset.labels to the name of "
            "its CSV"
        )
    del tree.left_out[f"{folder}{name}"]
    path = s3.shown(root / folder / name)
    table = list_file.read(path, pictures.source(root).read(f"{folder}{name}"))
    known = _known(table.columns, has_labels=number is None)
    _check_columns(path, table, known)
    rows = [dict(zip(known, map(str.strip, row), strict=True)) for row in table.rows]
    if not _is_sized(table.columns):
        return folder, rows
    print(f"note: {path} has boxes of a width and a height: the rest is their upper left corner")
    return folder, [_with_far_edges(row) for row in rows]


def is_list(names: Collection[str]) -> bool:
    """Whether a CSV with these columns names files, and the label or labels of each."""
    known = _known(names)
    return "file" in known and (known.count("label") == 1 or known.count("labels") == 1)


def file_of(row: Row) -> str | None:
    """The file that a row of any list names; None if it has no column for it."""
    return dict(zip(_known(row), row.values(), strict=True)).get("file")


def _known(names: Collection[str], has_labels: bool = True) -> list[str]:
    """The columns, with `file`, `label` and `labels` for those in FILE, LABEL, SEVERAL."""
    spellings = [spelling(name) for name in names]
    labels = [name for name in LABEL if name in spellings and has_labels]
    several = [name for name in SEVERAL if has_labels]
    files = [name for name in FILE if name in spellings]
    if not files:
        ends = [spelling(name) for name in names if ENDS.search(name)]
        files = ends if len(ends) == 1 else []
    labelled = {*LABEL, *SEVERAL}.difference([TAG]).intersection(spellings)
    edges = EDGES if {*BOX} <= {EDGES.get(name) for name in spellings} else {}
    known = {
        **(CORNER if _is_sized(spellings) else edges),
        "split": "split",
        **dict.fromkeys([name for name in several if name != TAG or not labelled], "labels"),
        **dict.fromkeys([name for name in labels if name != NUMBERED] or labels, "label"),
        **dict.fromkeys(files[:1], "file"),
    }
    return [known.get(small, name) for small, name in zip(spellings, names, strict=True)]


def _is_sized(names: Iterable[str]) -> bool:
    spellings = {spelling(name) for name in names}
    has_far_edge = {"right", "bottom"} & {EDGES.get(name) for name in spellings}
    return not has_far_edge and {*SIZED} <= {CORNER.get(name) for name in spellings}


def _with_far_edges(row: Row) -> Row:
    """The row with right and bottom in place of width and height; `_box` refuses other text."""
    result = {name: cell for name, cell in row.items() if name not in SIZED[2:]}
    for far, near, size in (("right", "left", "width"), ("bottom", "top", "height")):
        try:
            result[far] = str(float(row[near]) + float(row[size]))
        except ValueError:
            result[far] = row[size]
    return result


def _check_columns(path: str, table: ListFile, known: list[str]) -> None:
    names = table.columns
    if "file" not in known:
        raise UserError(
            f"{path} has the columns {', '.join(names)}; expected file and label in its first row, "
            f"and optionally split, {', '.join(BOX)} and others"
        )
    twice = [name for name, meant in zip(names, known, strict=True) if known.count(meant) > 1]
    if twice:
        raise UserError(f"{path} has the columns {' and '.join(twice)}; expected one of them")
    if _is_sized(names) or {*BOX} <= {*known}:
        return
    cells = dict(zip(names, zip(*table.rows, strict=True), strict=False))
    edges = [name for name in names if spelling(name) in {*EDGES, *MIDDLE}]
    # A label may be called top
    edges = [name for name in edges if not label_columns.are_truths(cells.get(name, ()))]
    if edges:
        raise UserError(f"{path} has {', '.join(edges)}; expected all of {', '.join(BOX)}, or none")


def split_column(path: str, rows: list[Row], taken: Collection[str]) -> str | None:
    """`split`, or else a column such as `subset`, whose cells are train and another part.

    Raises UserError if another column only may mean the part.
    """
    if not rows or "split" in rows[0]:
        return "split"
    others = [name for name in rows[0] if name not in ("file", *taken)]
    cells = {name: {row[name] for row in rows} for name in others}
    parts = {name: set(map(part_folders.part_of, cells[name])) for name in others}
    named = [name for name in others if "train" in parts[name] and len(parts[name] - {None}) > 1]
    if len(named) > 1 or any(None in parts[name] for name in named):
        raise UserError(
            f"{path} has {' and '.join(named)}, which may say the part of the data; call the "
            "column split, with train, validation or test in each row, or take it out"
        )
    if named:
        print(f"note: the column {named[0]} of {path} says which part a row belongs to")
    return named[0] if named else None


def part_of(where: str, row: Row, column: str | None) -> str:
    """Raises UserError, which begins with `where`."""
    cell = row.get(column, "") if column else ""
    part = part_folders.part_of(cell) if cell else "train"
    if part is None:
        raise UserError(f"{where} has the split {cell}; expected train, validation or test")
    return part


def candidate_of(where: str, part: str, row: Row, label: str, files: Files) -> Candidate:
    """Raises UserError, which begins with `where`."""
    file = files.find(where, row["file"])
    others = {name: value for name, value in row.items() if name not in OWN_COLUMNS}
    return Candidate(file, label, part, _box(where, row), others)


def _box(where: str, row: Row) -> Box | None:
    cells = [row.get(name, "") for name in BOX]
    if not any(cells) or not {*BOX} <= {*row}:
        return None
    try:
        edges = [float(cell) for cell in cells]
        left, top, right, bottom = map(round, edges)
    except (ValueError, OverflowError):
        raise UserError(f"{where} has the box {', '.join(cells)}; expected four numbers") from None
    if max(edges) <= 1 and any(edge % 1 for edge in edges):
        raise UserError(
            f"{where} has the box {', '.join(cells)}, which are shares of the picture; expected "
            "pixels: multiply them by its width and height"
        )
    return left, top, right, bottom
