"""The learning curves of any training, from a CSV file of this line, Keras, Lightning, Ultralytics or
Hugging Face.

Separators may be commas, semicolons or tabs, and decimals may have commas. What is read otherwise
than it stands in the file is said in a note.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.process.errors import UserError
from pipeline.training.learning_curves import MEASURES, Row

LOSSES = ("train_loss", "validation_loss")
ACCURACIES = ("train_accuracy", "validation_accuracy")
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "eval", "evaluation"), "validation"),
    "metrics": "validation",  # Ultralytics measures these on validation
}
KINDS = {  # the surest name of each kind first
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
BLANK = ("", "na", "n/a", "none", "null", "-", "no log")  # NA is Keras's, No log is Hugging Face's
SEPARATORS = (",", ";", "\t")
DECIMAL_COMMA = re.compile(r"([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)")
ROUNDING = 1e-6  # by which a fraction may exceed 1
EXPECTED = (
    "expected a CSV with a row for each epoch and columns named epoch, train_loss, validation_loss, train_accuracy and "
    "validation_accuracy, or as Keras, Lightning, Ultralytics or Hugging Face name them"
)


@dataclass(frozen=True)
class TrainingLog:
    """A row for each epoch, under our names, and what was read otherwise than it stands there.

    Epochs are the file's own numbers. Of the two accuracies one may be missing.
    """

    rows: list[Row]
    notes: list[str]


@dataclass(frozen=True)
class Table:
    """The cells of a file; rows are numbered as in a spreadsheet, where the header is row 1."""

    path: Path
    header: list[str]
    rows: dict[int, list[str]]

    def cell(self, row: int, column: int) -> str:
        """The text, empty where the cell is blank or the row ends before it."""
        cells = self.rows[row]
        text = cells[column].strip() if column < len(cells) else ""
        return "" if text.lower() in BLANK else text

    def filled(self, column: int) -> int:
        return sum(self.cell(row, column) != "" for row in self.rows)


@dataclass(frozen=True)
class Entry:
    """The figures that stand at one epoch, and the row where they were found."""

    row: int
    values: Row

    @property
    def epoch(self) -> float:
        return self.values["epoch"]


def read(path: Path) -> TrainingLog:
    """Raises UserError."""
    table = tabulated(path)
    columns, notes = recognized(table)
    entries, superseded = last_run(sorted_up(parsed(table, columns)))
    if not entries:
        raise UserError(f"{path} has a header and no figures below it; {EXPECTED}")
    entries, twice = one_each(entries)
    if any(entry.epoch != round(entry.epoch) for entry in entries):
        entries = carried(entries)
    check_complete(table, columns, entries)
    rows, percent = in_fractions(table, columns, entries)
    return TrainingLog(rows, [*notes, *superseded, *twice, *percent])


def decoded(path: Path) -> str:
    """Raises UserError."""
    data = path.read_bytes()
    is_utf16 = data.startswith(
        (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    )  # as PowerShell and Excel write it
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserError(f"{path} is not a text file; {EXPECTED}")
    return text


def tabulated(path: Path) -> Table:
    """Raises UserError."""
    lines = decoded(path).splitlines()
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    if not numbers:
        raise UserError(f"{path} has no epoch: it is empty; {EXPECTED}")
    first = lines[numbers[0] - 1]
    separator = max(SEPARATORS, key=first.count)
    try:
        # each line for itself, so that a quote which is never closed spoils its own line alone
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
                f"{path}: row {number} has {len(cells)} cells, and the header names {len(header)} columns; "
                "expected as many, and decimal commas only where semicolons or tabs separate the cells"
            )
    return Table(path, header, rows)


def recognized(table: Table) -> tuple[dict[str, int], list[str]]:
    """The column of each measure, by our name for it, and a note on that. Raises UserError."""
    names = [plain(name) for name in table.header]
    candidates: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        measure = measure_of(name, names)
        if measure is not None:
            candidates.setdefault(measure, []).append(column)
    missing = [name for name in ("epoch", *LOSSES) if name not in candidates]
    if not candidates.keys() & set(ACCURACIES):
        missing += ACCURACIES
    if missing:
        raise UserError(
            f"{table.path} has no {', '.join(missing)}; {EXPECTED}; it has {', '.join(filter(None, table.header)) or 'none'}"
        )
    columns = {
        measure: surest(table, names, measure, found) for measure, found in candidates.items()
    }
    accuracy = columns.get("validation_accuracy")
    if accuracy is not None and names[accuracy] in KINDS:
        return columns, [
            f"{table.header[accuracy]} is read as the accuracy of validation, as Hugging Face and fastai write it"
        ]
    return columns, []


def plain(name: str) -> str:
    """A column's name in small letters and underscores, without Lightning's `_epoch` at the end."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").removesuffix("_epoch")


def measure_of(name: str, names: Sequence[str]) -> str | None:
    """Our name for the column `name`; None where the columns' `names` leave it open."""
    if name == "epoch":
        return name
    if name in RATES:
        return "learning_rate"
    prefix, _, kind = name.partition("_")
    if prefix in PARTS and kind in KINDS:
        return f"{PARTS[prefix]}_{KINDS[kind]}"
    if (
        name in KINDS and "loss" in names and {"val_loss", "eval_loss"} & set(names)
    ):  # Keras, Hugging Face
        return f"train_{KINDS[name]}"
    tables = (
        {"training_loss", "validation_loss"},
        {"train_loss", "valid_loss"},
    )  # Hugging Face's in a notebook, and fastai's
    if KINDS.get(name) == "accuracy" and any(known <= set(names) for known in tables):
        return "validation_accuracy"
    return None


def surest(table: Table, names: Sequence[str], measure: str, found: list[int]) -> int:
    """Of several columns for a measure the one with most figures, then the one with the surest name.

    Hugging Face adds `train_loss` in the last row, of the whole training; Keras can log several
    accuracies. Raises UserError.
    """
    order = list(KINDS)

    def rank(column: int) -> tuple[int, int]:
        name = names[column]
        kind = name if name in KINDS else name.partition("_")[2]
        return -table.filled(column), order.index(kind) if kind in KINDS else 0

    first, *others = sorted(found, key=rank)
    if measure == "learning_rate" or not others or rank(others[0]) > rank(first):
        return first
    given = ", ".join(table.header[column] for column in found)
    raise UserError(
        f"{table.path} has {len(found)} columns for {measure} ({given}); leave one of them"
    )


def parsed(table: Table, columns: dict[str, int]) -> list[Entry]:
    """The rows that have a figure, without the blank cells. Raises UserError."""
    entries = []
    for row in table.rows:
        values = {
            measure: number(table, row, column)
            for measure, column in columns.items()
            if table.cell(row, column)
        }
        if not values.keys() & set(MEASURES):
            continue
        if not np.isfinite(values.get("epoch", np.nan)):
            raise UserError(
                f"{table.path}: row {row} has no number in the column {table.header[columns['epoch']]}"
            )
        entries.append(Entry(row, values))
    return entries


def number(table: Table, row: int, column: int) -> float:
    """Raises UserError."""
    text = table.cell(row, column)
    try:
        return float(DECIMAL_COMMA.sub(r"\1.\2", text) if DECIMAL_COMMA.fullmatch(text) else text)
    except ValueError:
        raise UserError(
            f"{table.path} is not a table of numbers: row {row}, column {table.header[column]} holds {text[:40]!r}; expected a number"
        ) from None


def sorted_up(entries: list[Entry]) -> list[Entry]:
    """In the order of training, also where the file begins with the last epoch."""
    epochs = [entry.epoch for entry in entries]
    falls = len(set(epochs)) > 2 and all(after <= before for before, after in pairwise(epochs))
    return entries[::-1] if falls else entries


def last_run(entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """Where epochs begin again, as in a file that was appended to, the later rows; a note on it."""
    kept: list[Entry] = []
    again: set[float] = set()
    dropped: set[float] = set()
    for entry in entries:
        while kept and kept[-1].epoch > entry.epoch:
            dropped.add(kept.pop().epoch)
            while kept and kept[-1].epoch == entry.epoch:
                dropped.add(kept.pop().epoch)
        if entry.epoch in dropped:
            again.add(entry.epoch)
        kept.append(entry)
    if not dropped:
        return entries, []
    lost = dropped - again
    note = f"the file has {listed(again or dropped)} twice, since it begins again; the later rows are used"
    return kept, [f"{note}, and {listed(lost)} of the earlier ones left out" if lost else note]


def one_each(entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """One entry for each epoch, from the rows that have its number; a note on repeated ones.

    Lightning writes training and validation into rows of their own. Of several figures of training
    within an epoch the mean is that of the epoch; of several rows with validation the last counts.
    """
    groups: dict[float, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.epoch, []).append(entry)
    twice = [
        epoch
        for epoch, group in groups.items()
        if sum("validation_loss" in entry.values for entry in group) > 1
    ]
    merged = [together(group, mean=epoch not in twice) for epoch, group in groups.items()]
    return merged, [
        f"the file has {listed(twice)} twice or more; the last row of each is used"
    ] if twice else []


def together(group: list[Entry], mean: bool) -> Entry:
    """The figures of several rows as one entry, at the last of them; of those of training the mean."""
    values: Row = {}
    for entry in group:
        values |= entry.values
    for name in ("train_loss", "train_accuracy") if mean else ():
        figures = [entry.values[name] for entry in group if name in entry.values]
        if figures:
            values[name] = float(np.mean(figures)) if len(figures) > 1 else figures[0]
    return Entry(group[-1].row, values)


def carried(entries: list[Entry]) -> list[Entry]:
    """Where figures come within epochs, as Hugging Face logs them: each validation with the training
    since the one before."""
    result: list[Entry] = []
    pending: list[Entry] = []
    for entry in entries:
        pending.append(entry)
        if "validation_loss" in entry.values:
            result.append(together(pending, mean=True))
            pending = []
    return result or entries


def check_complete(table: Table, columns: dict[str, int], entries: Iterable[Entry]) -> None:
    """Raises UserError where an epoch lacks a figure."""
    for entry in entries:
        for measure in (name for name in MEASURES if name in columns and name not in entry.values):
            column = table.header[columns[measure]]
            raise UserError(
                f"{table.path}: row {entry.row} (epoch {entry.epoch:g}) has no number in the column {column}; "
                "expected one for each epoch: fill the cell, or leave out the row"
            )


def in_fractions(
    table: Table, columns: dict[str, int], entries: list[Entry]
) -> tuple[list[Row], list[str]]:
    """The rows with accuracies from 0 to 1; percent is divided by 100, and a note says so.

    Raises UserError.
    """
    rated = all("learning_rate" in entry.values for entry in entries)
    names = [
        name
        for name in ("epoch", *MEASURES, "learning_rate")
        if name in columns and (rated or name != "learning_rate")
    ]
    rows = [{name: entry.values[name] for name in names} for entry in entries]
    accuracies = [name for name in ACCURACIES if name in columns]
    percent = [
        name for name in accuracies if is_percent(table, table.header[columns[name]], name, entries)
    ]
    if not percent:
        return [
            {**row, **{name: rounded_off(row[name]) for name in accuracies}} for row in rows
        ], []
    shown = " and ".join(table.header[columns[name]] for name in percent)
    if percent != accuracies:
        raise UserError(
            f"{table.path}: {shown} is in percent and the other accuracy is not; expected both from 0 to 1, or both in percent"
        )
    verb = "is" if len(percent) == 1 else "are"
    divided = [{**row, **{name: row[name] / 100 for name in percent}} for row in rows]
    return divided, [f"{shown} {verb} read as percent, since the values go above 1"]


def rounded_off(fraction: float) -> float:
    """An accuracy without what rounding has put on top of 1."""
    return 1.0 if 1 < fraction <= 1 + ROUNDING else fraction


def is_percent(table: Table, column: str, name: str, entries: list[Entry]) -> bool:
    """Whether an accuracy stands in percent, by the whole of its column.

    Raises UserError where it is neither that nor a fraction.
    """
    finite = [entry for entry in entries if np.isfinite(entry.values[name])]
    above = [entry for entry in finite if entry.values[name] > 1 + ROUNDING]
    percent = 2 * len(above) > len(finite)
    strange = [entry for entry in finite if not 0 <= entry.values[name] <= 100] or (
        [] if percent else above
    )
    if strange:
        entry = strange[0]
        raise UserError(
            f"{table.path}: row {entry.row} (epoch {entry.epoch:g}) has {entry.values[name]:g} in the column {column}; "
            "expected fractions from 0 to 1, or percent in the whole column"
        )
    return percent


def listed(epochs: Iterable[float]) -> str:
    """`epoch 3`, `the epochs 1 to 12`, or `the epochs 1, 2 and 7`."""
    numbers = sorted(epochs)
    if len(numbers) == 1:
        return f"epoch {numbers[0]:g}"
    if len(numbers) > 2 and np.allclose(np.diff(numbers), 1):
        return f"the epochs {numbers[0]:g} to {numbers[-1]:g}"
    return f"the epochs {', '.join(f'{number:g}' for number in numbers[:-1])} and {numbers[-1]:g}"
