"""The learning curves of any training, from a CSV file of this pipeline or of another program.

A note reports everything that is read otherwise than it is written in the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.diagnosis import log_table
from pipeline.diagnosis.log_table import ACCURACIES, EXPECTED, LogTable
from pipeline.process.errors import UserError
from pipeline.training import learning_curves
from pipeline.training.learning_curves import (
    EPOCH,
    LEARNING_RATE,
    MEASURES,
    NUMBER_MEASURES,
    TRAIN_ACCURACY,
    TRAIN_LOSS,
    VALIDATION_LOSS,
    Row,
)

ROUNDING = 1e-6  # by which a fraction may exceed 1


@dataclass(frozen=True)
class TrainingLog:
    rows: list[Row]  # one for each epoch, under our names; one of the accuracies may be missing
    notes: list[str]


@dataclass(frozen=True)
class LogEntry:
    """The values logged at one epoch, and the row of the file that has them."""

    row: int
    values: Row

    @property
    def epoch(self) -> float:
        """The file's own number."""
        return self.values[EPOCH]


def read(path: Path) -> TrainingLog:
    """Raises UserError."""
    table = log_table.read(path)
    if set(NUMBER_MEASURES) <= set(table.header):  # of a number; only `train` writes these
        return TrainingLog(learning_curves.load(path), [])
    columns, column_notes = log_table.find_columns(table)
    entries, restart_notes = last_run(in_order(log_entries(table, columns)))
    if not entries:
        raise UserError(f"{path} has a header and no values below it; {EXPECTED}")
    entries, repeat_notes = one_per_epoch(entries)
    if any(entry.epoch != round(entry.epoch) for entry in entries):
        entries = one_per_validation(entries)
    check_complete(table, columns, entries)
    rows, percent_notes = in_fractions(table, columns, entries)
    return TrainingLog(rows, [*column_notes, *restart_notes, *repeat_notes, *percent_notes])


def log_entries(table: LogTable, columns: dict[str, int]) -> list[LogEntry]:
    """The rows with at least one measure, without their blank cells. Raises UserError."""
    entries = []
    for row in table.rows:
        values = {
            measure: table.number(row, column)
            for measure, column in columns.items()
            if table.cell(row, column)
        }
        if not values.keys() & set(MEASURES):
            continue
        if not np.isfinite(values.get(EPOCH, np.nan)):
            column = table.header[columns[EPOCH]]
            raise UserError(f"{table.path}: row {row} has no number in the column {column}")
        entries.append(LogEntry(row, values))
    return entries


def in_order(entries: list[LogEntry]) -> list[LogEntry]:
    """The entries in the order of training, even if the file begins with the last epoch."""
    epochs = [entry.epoch for entry in entries]
    is_reversed = len(set(epochs)) > 2 and all(
        after <= before for before, after in pairwise(epochs)
    )
    return entries[::-1] if is_reversed else entries


def last_run(entries: list[LogEntry]) -> tuple[list[LogEntry], list[str]]:
    """If epochs start again, as in a file that was appended to, the later rows; and a note."""
    result: list[LogEntry] = []
    repeated: set[float] = set()
    dropped: set[float] = set()
    for entry in entries:
        while result and result[-1].epoch > entry.epoch:
            dropped.add(result.pop().epoch)
            while result and result[-1].epoch == entry.epoch:
                dropped.add(result.pop().epoch)
        if entry.epoch in dropped:
            repeated.add(entry.epoch)
        result.append(entry)
    if not dropped:
        return entries, []
    note = (
        f"the file has {listed(repeated or dropped)} twice, since it starts again; "
        "the later rows are used"
    )
    lost = dropped - repeated
    if lost:
        note += f", and {listed(lost)} of the earlier rows left out"
    return result, [note]


def one_per_epoch(entries: list[LogEntry]) -> tuple[list[LogEntry], list[str]]:
    """Merges the rows of each epoch into one entry; a note names epochs that are repeated.

    Lightning writes training and validation into separate rows. Several training values within an
    epoch are averaged; of several rows with a validation loss the last counts.
    """
    groups: dict[float, list[LogEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.epoch, []).append(entry)
    repeated = [
        epoch
        for epoch, group in groups.items()
        if sum(VALIDATION_LOSS in entry.values for entry in group) > 1
    ]
    result = [merged(group, mean=epoch not in repeated) for epoch, group in groups.items()]
    if not repeated:
        return result, []
    note = f"the file has {listed(repeated)} twice or more; the last row of each is used"
    return result, [note]


def merged(group: list[LogEntry], mean: bool) -> LogEntry:
    """The values of several rows as one entry, at the last row.

    A later value replaces an earlier one; with `mean`, training values are averaged instead.
    """
    values: Row = {}
    for entry in group:
        values |= entry.values
    for measure in (TRAIN_LOSS, TRAIN_ACCURACY) if mean else ():
        logged = [entry.values[measure] for entry in group if measure in entry.values]
        if logged:
            values[measure] = float(np.mean(logged)) if len(logged) > 1 else logged[0]
    return LogEntry(group[-1].row, values)


def one_per_validation(entries: list[LogEntry]) -> list[LogEntry]:
    """Merges each validation with the training values since the previous one.

    Hugging Face logs within epochs, so the epochs are fractions.
    """
    result: list[LogEntry] = []
    pending: list[LogEntry] = []
    for entry in entries:
        pending.append(entry)
        if VALIDATION_LOSS in entry.values:
            result.append(merged(pending, mean=True))
            pending = []
    return result or entries


def check_complete(table: LogTable, columns: dict[str, int], entries: Iterable[LogEntry]) -> None:
    """Raises UserError if an epoch lacks a value."""
    for entry in entries:
        for measure in MEASURES:
            if measure in columns and measure not in entry.values:
                raise UserError(
                    f"{table.path}: row {entry.row} (epoch {entry.epoch:g}) has no number in the "
                    f"column {table.header[columns[measure]]}; expected one for each epoch: fill "
                    "the cell, or leave out the row"
                )


def in_fractions(
    table: LogTable, columns: dict[str, int], entries: list[LogEntry]
) -> tuple[list[Row], list[str]]:
    """The rows with accuracies from 0 to 1; percent is divided by 100, with a note.

    Raises UserError.
    """
    measures = [EPOCH, *(measure for measure in MEASURES if measure in columns)]
    if LEARNING_RATE in columns and all(LEARNING_RATE in entry.values for entry in entries):
        measures.append(LEARNING_RATE)
    rows = [{measure: entry.values[measure] for measure in measures} for entry in entries]
    accuracies = [measure for measure in ACCURACIES if measure in columns]
    percent = [
        measure
        for measure in accuracies
        if is_percent(table, table.header[columns[measure]], measure, entries)
    ]
    if not percent:
        for row in rows:
            row.update({measure: rounded_off(row[measure]) for measure in accuracies})
        return rows, []
    titles = " and ".join(table.header[columns[measure]] for measure in percent)
    if percent != accuracies:
        raise UserError(
            f"{table.path}: {titles} is in percent and the other accuracy is not; "
            "expected both from 0 to 1, or both in percent"
        )
    for row in rows:
        row.update({measure: row[measure] / 100 for measure in percent})
    verb = "is" if len(percent) == 1 else "are"
    return rows, [f"{titles} {verb} read as percent, since the values go above 1"]


def rounded_off(fraction: float) -> float:
    """An accuracy without the excess over 1 that rounding may have added."""
    return 1.0 if 1 < fraction <= 1 + ROUNDING else fraction


def is_percent(table: LogTable, column: str, measure: str, entries: list[LogEntry]) -> bool:
    """Whether the accuracy is in percent, judged by its whole column.

    Raises UserError if it is neither in percent nor a fraction.
    """
    finite = [entry for entry in entries if np.isfinite(entry.values[measure])]
    above = [entry for entry in finite if entry.values[measure] > 1 + ROUNDING]
    percent = 2 * len(above) > len(finite)
    invalid = [entry for entry in finite if not 0 <= entry.values[measure] <= 100]
    if not invalid and not percent:
        invalid = above
    if invalid:
        entry = invalid[0]
        raise UserError(
            f"{table.path}: row {entry.row} (epoch {entry.epoch:g}) has {entry.values[measure]:g} "
            f"in the column {column}; expected fractions from 0 to 1, or percent in the whole "
            "column"
        )
    return percent


def listed(epochs: Iterable[float]) -> str:
    """`epoch 3`, `epochs 1 to 12`, or `epochs 1, 2 and 7`."""
    numbers = sorted(epochs)
    if len(numbers) == 1:
        return f"epoch {numbers[0]:g}"
    if len(numbers) > 2 and np.allclose(np.diff(numbers), 1):
        return f"epochs {numbers[0]:g} to {numbers[-1]:g}"
    return f"epochs {', '.join(f'{number:g}' for number in numbers[:-1])} and {numbers[-1]:g}"
