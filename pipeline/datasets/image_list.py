"""Your own pictures, named by a CSV: file and label, and optionally split, a box and anything else.

`dataset.path` is a folder or a zip file, which holds the pictures and the CSV, `dataset.labels`.
`_label_columns` says which columns hold several labels at once, or a number. Files are relative
to the CSV; a path may lack its first folders and its suffix if it still means one picture only. A
box (left, top, right, bottom) is the part of the upright picture to use, in pixels; a file may have
several rows with other boxes. `preprocess.group` may name any column.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from pipeline.config import section
from pipeline.config.params import Dataset
from pipeline.datasets import Raw, _label_columns, _photos, _tree
from pipeline.datasets._label_columns import LABEL, SEVERAL, Row
from pipeline.datasets._photos import Candidate, Listed
from pipeline.datasets._tree import Tree, nfc
from pipeline.files import list_file, pictures
from pipeline.files.picture_file import Box
from pipeline.files.picture_table import OWN_COLUMNS
from pipeline.process.errors import UserError

PHOTOS = True  # files of any size, which dataset.framing makes inputs of
# A column may have any of these names. Of several for the file, the first counts.
FILE = (
    "file",
    "filename",
    "file_name",
    "filepath",
    "path",
    "image",
    "image_path",
    "image_name",
    "image_id",
    "id",
)
BOX = ("left", "top", "right", "bottom")


class Options(section.Options):
    labels: str = "labels.csv"  # the CSV
    number: str | None = None  # the column of the number to predict


def load(params: Dataset) -> Raw:
    return _photos.dataset(params, listed(params))


def listed(params: Dataset) -> Listed:
    """What there is to read: no picture is opened. Raises UserError."""
    root, options = Path(params.path), params.options(Options)
    if root.suffix.lower() == ".csv":
        raise UserError(
            f"dataset.path {root} is a CSV; name the folder or zip file that holds it and the "
            f"pictures, and set dataset.labels to {root.name}"
        )
    tree = _tree.read(root)
    folder, rows = rows_of(root, tree, options.labels)
    path = f"{root / folder / options.labels}"
    labels = _label_columns.read(path, rows, options.number, ("split", *OWN_COLUMNS))
    files = Files(tree.files)
    candidates = []
    for number, (row, label) in enumerate(zip(rows, labels.texts, strict=True), 2):
        known = {name: value for name, value in row.items() if name not in labels.columns}
        where = f"row {number} of {path}"
        candidates.append(candidate_of(where, folder, known, label, files))
    labels.check(path)
    listed = {candidate.file for candidate in candidates}
    unlisted = {name: "is not in the list" for name in tree.files if name not in listed}
    left_out = {**tree.left_out, **unlisted}
    return Listed(candidates, labels.names, left_out, labels.target)


def rows_of(root: Path, tree: Tree, name: str) -> tuple[str, list[Row]]:
    """The folder of the CSV, and its rows. Archives often hold everything in one folder."""
    folder = next((at for at in ("", _tree.base(tree)) if f"{at}{name}" in tree.left_out), None)
    if folder is None:
        raise UserError(
            f"dataset.path {root} holds no {name}; set dataset.labels to the name of its CSV"
        )
    del tree.left_out[f"{folder}{name}"]
    path = f"{root / folder / name}"
    table = list_file.read(path, pictures.source(root).read(f"{folder}{name}"))
    _check_columns(path, table.columns)
    known = _known(table.columns)
    return folder, [dict(zip(known, map(str.strip, row), strict=True)) for row in table.rows]


def is_list(names: Collection[str]) -> bool:
    """Whether a CSV with these columns names files, and the label or labels of each."""
    known = _known(names)
    return "file" in known and (known.count("label") == 1 or known.count("labels") == 1)


def _known(names: Collection[str]) -> list[str]:
    """The columns, with `file`, `label` and `labels` for those in FILE, LABEL, SEVERAL."""
    spellings = {_spelling(name) for name in names}
    file = next((name for name in FILE if name in spellings), None)

    def known(name: str) -> str:
        small = _spelling(name)
        if small == file:
            return "file"
        if small in LABEL:
            return "label"
        if small in SEVERAL:
            return "labels"
        return small if small in ("split", *BOX) else name

    return list(map(known, names))


def _spelling(column: str) -> str:
    return column.lower().replace(" ", "_")


def _check_columns(path: str, names: list[str]) -> None:
    known = _known(names)
    if "file" not in known:
        raise UserError(
            f"{path} has the columns {', '.join(names)}; expected file and label, and optionally "
            f"split, {', '.join(BOX)} and others"
        )
    twice = [name for name in names if known.count(_known([name])[0]) > 1]
    if twice:
        raise UserError(f"{path} has the columns {' and '.join(twice)}; expected one of them")
    boxes = [name for name in BOX if name in known]
    if boxes and len(boxes) < len(BOX):
        raise UserError(f"{path} has {', '.join(boxes)}; expected all of {', '.join(BOX)}, or none")


class Files:
    """The pictures of a tree, by their path or by any end of it that only one of them has."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {nfc(name): name for name in names}
        self._by_last: defaultdict[str, list[str]] = defaultdict(list)
        for path in self._names:
            last = path.rpartition("/")[2]
            for key in {last, _without_suffix(last)}:
                self._by_last[key].append(path)

    def find(self, where: str, folder: str, name: str) -> str:
        """The picture that a row names, or its path in the list if there is none.

        Raises UserError, which begins with `where`, if there are several.
        """
        end = nfc(name)
        if path := self._names.get(nfc(folder) + end):
            return path
        paths = [
            path
            for path in self._by_last[end.rpartition("/")[2]]
            if f"/{path}".endswith(f"/{end}") or _without_suffix(f"/{path}").endswith(f"/{end}")
        ]
        if len(paths) > 1:
            raise UserError(
                f"{where} has the file {name}, which may be {' or '.join(paths[:2])}; write its "
                "whole path"
            )
        return self._names[paths[0]] if paths else f"{folder}{name}"


def _without_suffix(path: str) -> str:
    return path.rpartition(".")[0] or path


def candidate_of(where: str, folder: str, row: Row, label: str, files: Files) -> Candidate:
    """Raises UserError, which begins with `where`."""
    name = row["file"].replace("\\", "/").removeprefix("./")
    if name.startswith("/") or ".." in name.split("/"):
        raise UserError(
            f"{where} has the file {name}; expected a path within the folder of the CSV"
        )
    if not name:
        raise UserError(f"{where} has an empty file; expected one")
    split = row.get("split", "")
    part = _tree.part_of(split) if split else "train"
    if part is None:
        raise UserError(f"{where} has the split {split}; expected train, validation or test")
    others = {name: value for name, value in row.items() if name not in OWN_COLUMNS}
    return Candidate(files.find(where, folder, name), label, part, _box(where, row), others)


def _box(where: str, row: Row) -> Box | None:
    cells = [row.get(name, "") for name in BOX]
    if not any(cells):
        return None
    try:
        left, top, right, bottom = (round(float(cell)) for cell in cells)
    except ValueError:
        raise UserError(f"{where} has the box {', '.join(cells)}; expected four numbers") from None
    return left, top, right, bottom
