"""The learning curves: a row for each epoch with the metrics of both splits, as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import artifacts

Row = dict[str, float]

# The columns; which of them an epoch has, `measured` tells.
EPOCH = "epoch"
TRAIN_LOSS, VALIDATION_LOSS = "train_loss", "validation_loss"
TRAIN_ACCURACY, VALIDATION_ACCURACY = "train_accuracy", "validation_accuracy"
TRAIN_ERROR, VALIDATION_ERROR = "train_error", "validation_error"
LEARNING_RATE = "learning_rate"
MEASURES = (TRAIN_LOSS, TRAIN_ACCURACY, VALIDATION_LOSS, VALIDATION_ACCURACY)
# Of a number: the loss is that of standardized ones, the mean absolute error is in their unit.
NUMBER_MEASURES = (TRAIN_LOSS, TRAIN_ERROR, VALIDATION_LOSS, VALIDATION_ERROR)
SECONDS, IMAGES_PER_SECOND = TIMES = ("seconds", "images_per_second")


def measured(row: Row) -> tuple[str, ...]:
    """The measures that an epoch has."""
    return NUMBER_MEASURES if VALIDATION_ERROR in row else MEASURES


def seconds(rows: Iterable[Row]) -> float:
    """How long these epochs took together."""
    return sum(row[SECONDS] for row in rows)


def measures(logs: dict[str, Any]) -> Row:
    """The metrics that Keras logs for an epoch, under our names."""
    return {
        f"validation_{name[4:]}" if name.startswith("val_") else f"train_{name}": float(value)
        for name, value in logs.items()
    }


def logs(row: Row) -> dict[str, float]:
    """A row's metrics under Keras's names."""
    return {
        name.replace("validation_", "val_").removeprefix("train_"): value
        for name, value in row.items()
    }


def save(path: Path, rows: Sequence[Row]) -> None:
    columns = [EPOCH, *measured(rows[0]), LEARNING_RATE, *TIMES]
    columns += [name for name in rows[0] if name not in columns]  # by train.metrics
    artifacts.save_csv(path, columns, [[row[name] for name in columns] for row in rows])


def load(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def best_epoch(rows: list[Row], keep: str, skipped: int = 0) -> int:
    """The number, from 1, of the epoch whose weights are kept; 0 before the first epoch.

    Among equals it is the first. The first `skipped` epochs do not count once there are others.
    """
    if len(rows) > skipped > 0:
        return skipped + best_epoch(rows[skipped:], keep)
    if keep == "last":
        return len(rows)
    if not rows:
        return 0
    sign = 1 if keep.endswith("loss") else -1
    values = [sign * row[keep] if np.isfinite(row[keep]) else np.inf for row in rows]
    return 1 + int(np.argmin(values))
