"""The cells of a training log: a CSV file, and which of its columns holds which measure.

The file may come from this pipeline, Keras, Lightning, Ultralytics, Hugging Face or fastai.
Separators may be commas, semicolons or tabs, and decimals may have commas.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.process.errors import UserError
from pipeline.training.learning_curves import (
    EPOCH,
    LEARNING_RATE,
    TRAIN_ACCURACY,
    TRAIN_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_LOSS,
)

LOSSES = (TRAIN_LOSS, VALIDATION_LOSS)
ACCURACIES = (TRAIN_ACCURACY, VALIDATION_ACCURACY)
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "eval", "evaluation"), "validation"),
    "metrics": "validation",  # Ultralytics measures these on validation
}
KINDS = {  # in order of preference, if several columns have the same measure
    "loss": "loss",
    "accuracy": "accuracy",
    "acc": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "binary_accuracy": "accuracy",
    "accuracy_top1": "accuracy",
    "acc_top1": "accuracy",
    "top1_acc": "accuracy",
    "top1_accuracy": "accuracy",
}
RATES = ("learning_rate", "lr", "lr_pg0")
# columns that mark an `accuracy` without a prefix as that of validation
NOTEBOOK = {"training_loss", "validation_loss"}  # Hugging Face's table in a notebook
FASTAI = {"train_loss", "valid_loss"}
BLANK = ("", "na", "n/a", "none", "null", "-", "no log")  # Keras writes NA, Hugging Face No log
SEPARATORS = (",", ";", "\t")
DECIMAL_COMMA = re.compile(r"([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)")
EXPECTED = (
    "expected a CSV with a row for each epoch and columns named epoch, train_loss, "
    "validation_loss, train_accuracy and validation_accuracy, or as Keras, Lightning, Ultralytics "
    "or Hugging Face name them"
)


@dataclass(frozen=True)
class LogTable:
    """The cells of a file; rows are numbered as in a spreadsheet, with the header as row 1."""

    path: Path
    header: list[str]
    rows: dict[int, list[str]]

    def cell(self, row: int, column: int) -> str:
        """The text; empty if the cell is blank or the row ends before it."""
        cells = self.rows[row]
        text = cells[column].strip() if column < len(cells) else ""
        return "" if text.lower() in BLANK else text

    def filled(self, column: int) -> int:
        """The number of cells that are not blank."""
        return sum(self.cell(row, column) != "" for row in self.rows)

    def number(self, row: int, column: int) -> float:
        """Raises UserError for other text."""
        text = self.cell(row, column)
        if DECIMAL_COMMA.fullmatch(text):
            text = DECIMAL_COMMA.sub(r"\1.\2", text)
        try:
            return float(text)
        except ValueError:
            raise UserError(
                f"{self.path} is not a table of numbers: row {row}, column {self.header[column]} "
                f"holds {self.cell(row, column)[:40]!r}; expected a number"
            ) from None


def read(path: Path) -> LogTable:
    """Raises UserError."""
    lines = _text(path).splitlines()
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    if not numbers:
        raise UserError(f"{path} has no epoch: it is empty; {EXPECTED}")
    header_line = lines[numbers[0] - 1]
    separator = max(SEPARATORS, key=header_line.count)
    try:
        # each line on its own, so that an unclosed quote spoils only its own line
        rows = {
            number: next(csv.reader([lines[number - 1]], delimiter=separator)) for number in numbers
        }
    except csv.Error as error:
        raise UserError(f"{path} is not a table of numbers ({error}); {EXPECTED}") from None
    header = [name.strip() for name in rows.pop(numbers[0])]
    for number, cells in list(rows.items()):
        if [cell.strip() for cell in cells] == header:  # two files in one
            del rows[number]
        elif any(cell.strip() for cell in cells[len(header) :]):
            raise UserError(
                f"{path}: row {number} has {len(cells)} cells, and the header names {len(header)} "
                "columns; expected the same number, and decimal commas only if semicolons or tabs "
                "separate the cells"
            )
    return LogTable(path, header, rows)


def _text(path: Path) -> str:
    """The decoded file. Raises UserError if it is not a text file."""
    data = path.read_bytes()
    # PowerShell and Excel write UTF-16
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserError(f"{path} is not a text file; {EXPECTED}")
    return text


def find_columns(table: LogTable) -> tuple[dict[str, int], list[str]]:
    """The column of each measure, by our name for it, and notes. Raises UserError."""
    names = [_normalized(name) for name in table.header]
    candidates: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        measure = _measure(name, names)
        if measure is not None:
            candidates.setdefault(measure, []).append(column)
    missing = [name for name in (EPOCH, *LOSSES) if name not in candidates]
    if not candidates.keys() & set(ACCURACIES):
        missing += ACCURACIES
    if missing:
        raise UserError(
            f"{table.path} has no {', '.join(missing)}; {EXPECTED}; "
            f"it has {', '.join(filter(None, table.header)) or 'none'}"
        )
    columns = {
        measure: _best_column(table, names, measure, numbers)
        for measure, numbers in candidates.items()
    }
    accuracy = columns.get(VALIDATION_ACCURACY)
    if accuracy is None or names[accuracy] not in KINDS:
        return columns, []
    note = (
        f"{table.header[accuracy]} is read as the validation accuracy, as Hugging Face and fastai "
        "write it"
    )
    return columns, [note]


def _normalized(name: str) -> str:
    """A column's name in lower case with underscores, without Lightning's suffix `_epoch`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").removesuffix("_epoch")


def _measure(name: str, names: Sequence[str]) -> str | None:
    """Our name for the column `name`; None if the file's `names` leave it open."""
    if name == EPOCH:
        return name
    if name in RATES:
        return LEARNING_RATE
    prefix, _, kind = name.partition("_")
    if prefix in SPLITS and kind in KINDS:
        return f"{SPLITS[prefix]}_{KINDS[kind]}"
    # Keras and Hugging Face give training measures no prefix
    if name in KINDS and "loss" in names and {"val_loss", "eval_loss"} & set(names):
        return f"train_{KINDS[name]}"
    is_of_validation = any(columns <= set(names) for columns in (NOTEBOOK, FASTAI))
    if KINDS.get(name) == "accuracy" and is_of_validation:
        return VALIDATION_ACCURACY
    return None


def _best_column(table: LogTable, names: Sequence[str], measure: str, columns: list[int]) -> int:
    """The column with the most values; among equals, the one whose name comes first in KINDS.

    Hugging Face adds a `train_loss` of the whole training in the last row, and Keras can log
    several accuracies. Raises UserError if two columns remain.
    """
    order = list(KINDS)

    def rank(column: int) -> tuple[int, int]:
        name = names[column]
        kind = name if name in KINDS else name.partition("_")[2]
        return -table.filled(column), order.index(kind) if kind in KINDS else 0

    first, *others = sorted(columns, key=rank)
    if measure == LEARNING_RATE or not others or rank(others[0]) > rank(first):
        return first
    titles = ", ".join(table.header[column] for column in columns)
    raise UserError(
        f"{table.path} has {len(columns)} columns for {measure} ({titles}); leave one of them"
    )
