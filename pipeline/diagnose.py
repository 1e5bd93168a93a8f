"""Stage 5: says in words what is wrong with a training, from its learning curves and from what the data tell.

    python -m pipeline.diagnose            as a stage, after train
    python -m pipeline.diagnose FILE       of any learning_curves.csv; --picture PNG draws it

Reads: reports/learning_curves.csv and beside it train.json and preprocess.json. Writes: reports/diagnose.json and
reports/learning_curves.png; of a FILE the picture alone. A CSV of Keras, Lightning, Ultralytics or Hugging Face will do, or
any with epoch, train_loss, validation_loss and an accuracy; a learning_rate, and those reports beside it, say more.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.config import params
from pipeline.diagnosis import training_log
from pipeline.diagnosis.diagnosis import Diagnosis
from pipeline.diagnosis.picture import draw
from pipeline.diagnosis.rules import diagnose
from pipeline.diagnosis.split_checks import Evidence
from pipeline.files import artifacts
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.training.learning_curves import Row

Told = TypeVar("Told")


@dataclass(frozen=True)
class Prepared:
    """What preprocess.json tells here."""

    evidence: Evidence | None = None


@dataclass(frozen=True)
class Trained:
    """What train.json tells here."""

    layers_at_start: dict[str, float] = field(default_factory=dict)
    trained_before: bool = False
    kept_epoch: int | None = None


def diagnose_file(path: Path, target: float) -> Diagnosis:
    """The diagnosis of a CSV of learning curves, and of what the reports beside it tell. Raises UserError."""
    return judged(path, training_log.read(path).rows, target)


def judged(path: Path, rows: list[Row], target: float) -> Diagnosis:
    """The diagnosis of the rows that stand in `path`."""
    prepared, trained = beside(path, "preprocess", Prepared), beside(path, "train", Trained)
    return diagnose(
        rows, prepared.evidence, trained.layers_at_start, target, trained.trained_before
    )


def beside(path: Path, name: str, kind: type[Told]) -> Told:
    """What the report `name` beside the curves tells: nothing where there is none, or another program's file of that name."""
    try:
        return TypeAdapter(kind).validate_json(path.with_name(f"{name}.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return kind()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.diagnose")
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        help="a learning_curves.csv; without it, the line's own, as a stage",
    )
    parser.add_argument(
        "--target",
        type=float,
        help="the accuracy that training must reach; problem.target unless given",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        help="a PNG into which to draw the curves of the file and the verdict",
    )
    arguments = parser.parse_args()
    if arguments.picture is not None and arguments.file is None:
        parser.error(
            f"--picture goes with a file; that of the line is {artifacts.LEARNING_CURVES.with_suffix('.png')}"
        )
    if arguments.file is not None and not arguments.file.is_file():
        fault = "is a folder" if arguments.file.is_dir() else "is not a file"
        raise UserError(
            f"{arguments.file} {fault}; name a learning_curves.csv, or nothing for that of the line"
        )
    target = params.load().problem.target if arguments.target is None else arguments.target
    path, picture = arguments.file or artifacts.LEARNING_CURVES, arguments.picture
    if picture is not None and picture.is_dir():
        raise UserError(f"--picture {picture} is a folder; name a file")
    log = training_log.read(path)
    found = judged(path, log.rows, target)
    if arguments.file is None:
        key = artifacts.load_json(artifacts.report("train"))["training_key"]
        artifacts.save_json(artifacts.report("diagnose"), {"training_key": key, **asdict(found)})
        picture = path.with_suffix(".png")
    if picture is not None:
        kept = beside(path, "train", Trained).kept_epoch
        draw(picture, log.rows, kept, (found.verdict, found.epoch, found.sentence))
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in found.numbers.items())
    print(f"{found.verdict} (from epoch {found.epoch}; {numbers}): {found.sentence}")
    for note in log.notes:
        print(f"note: {note}")


if __name__ == "__main__":
    stage.run(main)
