"""Says in words what is wrong with a training, from its learning curves and from what the data tell.

    python -m pipeline.selection.diagnose            as a stage, after train
    python -m pipeline.selection.diagnose FILE       of any learning_curves.csv

Reads: reports/learning_curves.csv and beside it train.json and preprocess.json. Writes: reports/diagnose.json and
reports/learning_curves.png. Any CSV with epoch, train_loss, train_accuracy, validation_loss and validation_accuracy will
do; a learning_rate, and those reports beside it, say more.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline import artifacts, params, stage
from pipeline.selection.evidence import Evidence
from pipeline.selection.verdicts import Diagnosis, diagnose
from pipeline.stage import UserError
from pipeline.training import learning_curves


def diagnose_file(path: Path, target: float) -> Diagnosis:
    """The diagnosis of a learning_curves.csv, and of what the reports beside it tell. Raises UserError."""
    try:
        rows = learning_curves.load(path)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is no table of numbers ({error}); allowed is a CSV as train writes it") from None
    missing = [name for name in ("epoch", *learning_curves.MEASURES) if not rows or name not in rows[0]]
    if missing:
        raise UserError(f"{path} has no {', '.join(missing)}; allowed is a CSV as train writes it, with a row for each epoch")
    facts = {name: _beside(path, name) for name in ("preprocess", "train")}
    evidence = facts["preprocess"].get("evidence")
    return diagnose(rows, Evidence(**evidence) if evidence else None, facts["train"].get("layers_at_start"), target)


def _beside(path: Path, name: str) -> dict[str, Any]:
    report = path.with_name(f"{name}.json")
    found: dict[str, Any] = artifacts.load_json(report) if report.exists() else {}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.selection.diagnose")
    parser.add_argument("file", type=Path, nargs="?", help="a learning_curves.csv; without it, the line's own, as a stage")
    parser.add_argument("--target", type=float, help="the accuracy that training must reach; problem.target unless given")
    arguments = parser.parse_args()
    if arguments.file is not None and not arguments.file.is_file():
        raise UserError(f"{arguments.file} is no file; name a learning_curves.csv, or nothing for that of the line")
    target = params.load().problem.target if arguments.target is None else arguments.target
    found = diagnose_file(arguments.file or artifacts.LEARNING_CURVES, target)
    if arguments.file is None:
        trained = artifacts.load_json(artifacts.report("train"))
        rows = learning_curves.load(artifacts.LEARNING_CURVES)
        picture = artifacts.LEARNING_CURVES.with_suffix(".png")
        learning_curves.draw(picture, rows, trained["kept_epoch"], (found.verdict, found.epoch, found.sentence))
        artifacts.save_json(artifacts.report("diagnose"), {"training_key": trained["training_key"], **asdict(found)})
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in found.numbers.items())
    print(f"{found.verdict} (from epoch {found.epoch}; {numbers}): {found.sentence}")


if __name__ == "__main__":
    stage.run(main)
