"""The labels in a list of pictures or sounds: which columns hold them, and what they mean.

One column may name the class (LABEL) or several labels at once (SEVERAL). Without either, columns
of truths are a label each: of nothing but 0 and 1, -1 and 1, true and false, yes and no, or x and
nothing. `dataset.number` names the column of a number.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pipeline.config.parts import is_number, one_class_each
from pipeline.datasets.reading import label_meaning
from pipeline.datasets.reading.file_tree import nfc
from pipeline.process.errors import UserError
from pipeline.process.words import counted

LABEL = ("label", "class", "classname", "classid", "category")  # as `spelling` gives them
TAG = "tag"  # says something else beside any other of these names
SEVERAL = ("labels", "tags", TAG, "classes", "classnames", "categories")
BETWEEN = ";|,"  # several labels; without any of them in the column, spaces
TRUE = {"1", "1.0", "true", "yes", "x"}
# Never two in a column: -1 may mean unknown
FALSE = ({"0", "0.0"}, {"-1", "-1.0"}, {"false"}, {"no"}, {""})
COMMA, THOUSANDS = re.compile(r"[+-]?\d+,(\d+)"), 3  # in a number, and digits behind thousands
CURE = "set dataset.number to its column, or give `edgeproof start` --number COLUMN"

Row = dict[str, str]  # `label` and `labels` stand for the names above


@dataclass(frozen=True)
class LabelTexts:
    """A text for each row, as `label_meaning.array` takes it, and the columns it is from."""

    target: str
    texts: list[str]
    names: list[str]
    columns: tuple[str, ...]

    def check(self, path: str) -> None:
        """Raises UserError if there are none, or too few to tell apart."""
        if not self.texts:
            raise UserError(f"{path} has no rows below its first; expected one for each file")
        if not is_number(self.target) and len(self.names) < 2:
            raise UserError(f"{path} has {counted(len(self.names), 'label')}; expected at least 2")


def read(path: str, rows: Sequence[Row], number: str | None, others: Collection[str]) -> LabelTexts:
    """The labels of the list at `path`; `others` are columns that hold none. Raises UserError."""
    columns = list(rows[0]) if rows else ["label"]
    if number is not None:
        return numbers(path, rows, number)
    if "label" in columns:
        return _classes(path, rows)
    if "labels" in columns:
        return _several(path, rows)
    cells = {name: [row[name] for row in rows] for name in columns if name not in others}
    truths = [name for name in cells if _is_truth(cells[name])]
    mixed = [name for name in cells if name not in truths and are_truths(cells[name])]
    unclear = _unclear(path, mixed[0], cells[mixed[0]]) if mixed else None
    if len(truths) > 1:
        if unclear:
            print(f"note: {unclear}; the column {mixed[0]} is not used")
        return _truths(path, rows, truths)
    if len(truths) + len(mixed) > 1:  # one alone may be anything
        raise UserError(f"{unclear}; expected 1 in each row where the label holds, and 0 elsewhere")
    raise UserError(
        f"{path} has the columns {', '.join(columns)}; expected a column label, a column labels "
        "for several at once, or a column of 0 and 1 for each of them: rename the column that has "
        "them; for a number to predict, "
        f"{CURE}"
    )


def _classes(path: str, rows: Sequence[Row]) -> LabelTexts:
    texts = [nfc(row["label"]) for row in rows]
    if empty := [number for number, text in enumerate(texts, 2) if not text]:
        rows_of = "row" if len(empty) == 1 else counted(len(empty), "row")
        raise UserError(
            f"row {empty[0]} of {path} has an empty label; expected one; remove the {rows_of} "
            "without a label"
        )
    names = sorted(set(texts))
    if joint := joined_name(names):
        print(
            f"note: {path}: the class {joint} joins names of other classes; if a file may have "
            "several labels at once, call the column labels"
        )
    are_numbers = all(map(is_number_text, names)) and not all(name.isdigit() for name in names)
    if are_numbers and len(names) > len(rows) / 2:
        raise UserError(
            f"{path} has numbers as labels, such as {names[0]}; to predict a number, {CURE}"
        )
    return LabelTexts("classes", texts, names, ("label",))


def _several(path: str, rows: Sequence[Row]) -> LabelTexts:
    cells = [nfc(row["labels"]) for row in rows]
    if all(cell.startswith("[") and cell.endswith("]") for cell in cells if cell):
        parts = [_listed(path, number, cell) for number, cell in enumerate(cells, 2)]
    else:
        between = next((mark for mark in BETWEEN if any(mark in cell for cell in cells)), None)
        parts = [cell.split(between) for cell in cells]
    texts = [label_meaning.joined(filter(None, map(str.strip, part))) for part in parts]
    names = sorted({name for text in texts for name in label_meaning.separate(text)})
    if joint := joined_name(names):
        print(
            f"note: {path}: the label {joint} joins names of other labels; separate the labels of "
            "all rows by semicolons"
        )
    return LabelTexts("labels", texts, names, ("labels",))


def joined_name(names: Sequence[str]) -> str | None:
    """The first name that consists of others, with a mark between them."""
    for name in names:
        parts = list(map(str.strip, re.split(r"[;|,/+&]", name)))
        if len(parts) > 1 and not set(parts).isdisjoint(names) and all(parts):
            return name
    return None


def _listed(path: str, number: int, cell: str) -> list[str]:
    """The labels of a cell such as ['cat', 'dog'], as Python and JSON write lists."""
    try:
        return [str(name) for name in ast.literal_eval(cell or "[]")]
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise UserError(
            f"row {number} of {path} has the labels {cell}; expected a list in the form "
            '["cat", "dog"], or names separated by semicolons'
        ) from None


def _truths(path: str, rows: Sequence[Row], columns: list[str]) -> LabelTexts:
    """Of columns of 0 and 1; if each row has exactly one 1, they are classes."""
    held = [[name for name in columns if row[name].lower() in TRUE] for row in rows]
    target = "classes" if all(len(names) == 1 for names in held) else "labels"
    meaning = "a class" if one_class_each(target) else "one of several labels"
    print(f"{path}: each of these columns is {meaning}: {', '.join(columns)}")
    return LabelTexts(target, list(map(label_meaning.joined, held)), columns, tuple(columns))


def _unclear(path: str, name: str, column: Sequence[str]) -> str:
    """What is odd in a column with two ways to say that a label does not hold, such as 0 and -1."""
    cells = [cell.lower() for cell in column]
    first = next(row for row, cell in enumerate(cells) if cell not in TRUE)
    known = TRUE.union(*(false for false in FALSE if cells[first] in false))
    odd = next(row for row, cell in enumerate(cells) if cell not in known)
    return (
        f"row {first + 2} of {path} has {column[first] or 'nothing'} as {name}, and row {odd + 2} "
        f"has {column[odd] or 'nothing'}"
    )


def numbers(path: str, rows: Sequence[Row], column: str) -> LabelTexts:
    """Those of the `column` of a list. Raises UserError."""
    key = column_like(rows[0], column) if rows else column
    if key is None:
        raise UserError(
            f"dataset.number is {column}; expected one of the columns of {path}: "
            f"{', '.join(rows[0])}"
        )
    texts = _with_points([row[key] for row in rows])
    wrong = [number for number, text in enumerate(texts, 2) if not is_number_text(text)]
    if wrong:
        text = texts[wrong[0] - 2]
        others = f", and {counted(len(wrong) - 1, 'other row')} no number either"
        unclear = f"; write its comma as a point, or leave it out if {text} counts thousands"
        raise UserError(
            f"row {wrong[0]} of {path} has {text or 'nothing'} as {column}"
            f"{others * (len(wrong) > 1)}; expected a number such as 12.5, without a unit"
            f"{unclear * bool(COMMA.fullmatch(text))}; take out rows that have none"
        )
    return LabelTexts("number", texts, [column], (key,))


def column_like(names: Collection[str], column: str) -> str | None:
    """The column of this name, or else the first one that is spelled like it."""
    alike = (name for name in names if spelling(name) == spelling(column))
    return column if column in names else next(alike, None)


def _with_points(texts: list[str]) -> list[str]:
    """Decimal commas as points, unless each may as well stand between thousands."""
    commas = [match for match in map(COMMA.fullmatch, texts) if match]
    if all(len(match[1]) == THOUSANDS for match in commas):
        return texts
    return [text.replace(",", ".") if COMMA.fullmatch(text) else text for text in texts]


def are_truths(cells: Iterable[str]) -> bool:
    """Whether these cells of a column may say of each row whether a label holds."""
    values = {cell.strip().lower() for cell in cells}
    return values <= TRUE.union(*FALSE) and not values <= {""}


def _is_truth(cells: Iterable[str]) -> bool:
    values = {cell.lower() for cell in cells}
    return values != {""} and any(values <= TRUE | false for false in FALSE)


def spelling(column: str) -> str:
    """A name as it is compared with those above: in lower case, of letters and digits."""
    return "".join(character for character in column.lower() if character.isalnum())


def is_number_text(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and abs(float(text)) < 1e30  # which float32 can hold
    except ValueError:
        return False
