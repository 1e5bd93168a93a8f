"""The learning curves of one training as a table, and `edgeproof diagnose` on a file of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT

EPOCHS = 12
TRAIN_LOSS = [0.05 + 1.6 * 0.8**epoch for epoch in range(EPOCHS)]
TRAIN_ACCURACY = [1 - 0.6 * 0.78**epoch for epoch in range(EPOCHS)]
# overfits from the seventh epoch on
LOSS = [max(1.82 * 0.8**epoch, 0.5) + 0.06 * max(0, epoch - 5) for epoch in range(EPOCHS)]
ACCURACY = [0.8 - 0.44 * 0.7**epoch for epoch in range(EPOCHS)]
OURS = "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy"


def columns(first: int = 1, scale: float = 1) -> list[tuple[float, ...]]:
    accuracies = ([scale * value for value in column] for column in (TRAIN_ACCURACY, ACCURACY))
    train_accuracy, accuracy = accuracies
    return list(
        zip(range(first, first + EPOCHS), TRAIN_LOSS, train_accuracy, LOSS, accuracy, strict=True)
    )


def csv_text(
    header: str, rows: Sequence[Sequence[float | str]], order: tuple[int, ...] = (0, 1, 2, 3, 4)
) -> str:
    lines = [",".join(str(row[column]) for column in order) for row in rows]
    return "".join(f"{line}\n" for line in [header, *lines])


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "curves.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    module = [sys.executable, "-m", "pipeline.cli", "diagnose"]
    return subprocess.run(
        [*module, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
