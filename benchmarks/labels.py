"""How many of the first hundred suspect labels are wrong, by `edgeproof labels`.

    python -m benchmarks.labels [CASE ...]                  mnist, mnist_flipped
    python -m benchmarks.labels --cifar FILE [CASE ...]     also cifar, cifar_flipped

FILE is an npz of 32 x 32 colour photos, x_train and y_train. In the cases called `flipped`, 3 % of
the labels are replaced by another class on purpose, so each suspect is known to be wrong or not
(but for the few that were wrong before). In the others only a look can say: the first hundred are
in .state/labels/CASE/reports/labels.html. Prints a table.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks import machine
from pipeline.config import params
from pipeline.datasets import mnist
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.process.words import percent
from pipeline.reporting.tables import table

ROOT = Path(__file__).parents[1]
FOLDER = artifacts.STATE / "labels"
FLIPPED = 0.03  # of the labels
FIRST = 100  # suspects that a person looks at
FOLDS = 3
COLUMNS = (
    *("data", "labels", "accuracy", "wrong on purpose", f"wrong of the first {FIRST}"),
    *("taken for wrong", "precision", "recall", "s"),
)
DIGITS: dict[str, Any] = {"epochs": 3}
# A published network on photos of three times the size.
SCALE = 3
PHOTOS: dict[str, Any] = {
    "architecture": "efficientnet_lite0",
    "weights": "imagenet",
    "augmentation": [],
    "batch_size": 32,
    "epochs": 10,
    "learning_rate": 0.003,
    "optimizer": {"class_name": "AdamW", "config": {"weight_decay": 0.05}},
}


def digits() -> tuple[Array, Array]:
    raw = mnist.load(params.load(ROOT / "params.yaml").dataset)
    return raw.train_images, raw.train_labels


def photos(path: Path) -> tuple[Array, Array]:
    with np.load(path) as file:
        images, labels = file["x_train"], file["y_train"]
    return images.repeat(SCALE, 1).repeat(SCALE, 2), labels


def flipped(labels: Array) -> tuple[Array, Array]:
    """Labels (N,) of which FLIPPED are of another class, and the rows of those, in order."""
    rng = np.random.default_rng(0)
    classes = int(labels.max()) + 1
    rows = np.sort(rng.permutation(len(labels))[: round(FLIPPED * len(labels))])
    result = labels.copy()
    result[rows] = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    return result, rows


def measure(case: str, cifar: Path | None) -> list[str]:
    """The row of the table. The folder of the case keeps what `edgeproof labels` writes."""
    images, labels = digits() if case.startswith("mnist") else photos(cifar or Path())
    wrong = None
    if case.endswith("flipped"):
        labels, wrong = flipped(labels)
    folder = FOLDER / case
    folder.mkdir(parents=True, exist_ok=True)
    # The pipeline wants a test set, which this command does not look at: one example of each class.
    test = np.unique(labels, return_index=True)[1]
    np.savez(
        folder / "data.npz",
        x_train=images,
        y_train=labels,
        x_test=images[test],
        y_test=labels[test],
    )
    write_params(folder, DIGITS if case.startswith("mnist") else PHOTOS)
    run(folder, "pipeline.download")
    start = time.monotonic()
    run(folder, "pipeline.cli", "labels", "--folds", f"{FOLDS}")
    seconds = time.monotonic() - start
    with (folder / "reports/labels.csv").open(encoding="utf-8", newline="") as file:
        suspects = [int(row["row"]) for row in csv.DictReader(file)]
    report = (folder / "reports/labels.md").read_text(encoding="utf-8")
    figures = re.search(r"learning takes ([\d,]+) for .* accuracy ([\d.]+ %)", report)
    assert figures is not None
    count = int(figures[1].replace(",", ""))
    row = [case, f"{len(labels):,}", figures[2], "", "", f"{count:,}", "", "", f"{seconds:.0f}"]
    if wrong is not None:
        hits = np.isin(suspects, wrong)
        row[3:5] = f"{len(wrong):,}", f"{int(hits[:FIRST].sum())}"
        checked = hits[:count]
        row[6:8] = percent(checked.mean(), 1), percent(checked.sum() / len(wrong), 1)
    return row


def write_params(folder: Path, train: dict[str, Any]) -> None:
    yaml = YAML(typ="safe")
    values = yaml.load(ROOT / "params.yaml")
    values["dataset"] |= {"name": "npz", "path": "data.npz"}
    values["train"] |= train
    yaml.dump(values, folder / "params.yaml")


def run(folder: Path, *command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, check=True, text=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.labels")
    parser.add_argument("case", nargs="*", help="which of the cases, all if none is named")
    parser.add_argument("--cifar", type=Path, metavar="FILE", help="an npz of CIFAR-10")
    arguments = parser.parse_args()
    known = ["mnist", "mnist_flipped", *(["cifar", "cifar_flipped"] if arguments.cifar else [])]
    unknown = [case for case in arguments.case if case not in known]
    if unknown:
        parser.error(f"{unknown[0]} is not one of {', '.join(known)}")
    cifar = arguments.cifar.resolve() if arguments.cifar else None
    print(machine.sentence())
    rows = [measure(case, cifar) for case in arguments.case or known]
    print(table(COLUMNS, rows))


if __name__ == "__main__":
    main()
