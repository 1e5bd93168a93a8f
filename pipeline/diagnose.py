"""Stage 5: diagnose a training from its learning curves and from statistics of the data.

    python -m pipeline.diagnose
    edgeproof diagnose FILE       any learning curves; --picture PNG draws them

Reads: reports/learning_curves.csv, and train.json and preprocess.json beside it; as a stage also
evaluation/validation.npz.
Writes: reports/diagnose.json and reports/learning_curves.png; for a FILE only the picture.
FILE may be a CSV that Keras, Lightning, Ultralytics or Hugging Face wrote, or any CSV with the
columns epoch, train_loss, validation_loss and an accuracy. A column learning_rate, and the two
reports beside the file, make the diagnosis more precise.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from pipeline import targets
from pipeline.config import params
from pipeline.config.problem import Problem
from pipeline.diagnosis import training_log
from pipeline.diagnosis.data_and_layer_rules import with_ignored, with_neglected
from pipeline.diagnosis.diagnosis import Diagnosis, MostError
from pipeline.diagnosis.few_examples import with_few
from pipeline.diagnosis.picture import draw
from pipeline.diagnosis.rules import diagnose
from pipeline.diagnosis.training_log import TrainingLog
from pipeline.files import artifacts, predictions
from pipeline.files.reports.diagnose import NOT_TRAINED, DiagnosisReport
from pipeline.files.reports.preprocess import PreprocessReport
from pipeline.files.reports.report import Report
from pipeline.files.reports.train import TrainReport
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.reporting.metrics import ACCURACY
from pipeline.training.learning_curves import VALIDATION_ERROR, Row

AnyReport = TypeVar("AnyReport", bound=Report)


def goal(rows: list[Row], problem: Problem, target: float | None) -> float | MostError:
    """The accuracy that training must reach, or the error; `target` stands for problem.target.

    Learning curves have no other metric, so if problem.metric is not accuracy, any will do.
    """
    value = target
    if value is None:
        value = problem.target if problem.metric == ACCURACY else 0.0
    is_number = VALIDATION_ERROR in rows[0]
    return MostError(value, problem.unit or "") if is_number else value


def diagnose_rows(path: Path, rows: list[Row], target: float | MostError) -> Diagnosis:
    """Diagnoses the rows of `path`, with the reports beside it. Raises UserError."""
    preprocessing = report_beside(path, PreprocessReport)
    training = report_beside(path, TrainReport)
    if training and training.origin:
        return Diagnosis(NOT_TRAINED, 0, {}, training.origin.sentence)
    return diagnose(
        rows,
        preprocessing.evidence if preprocessing else None,
        training.layers_at_start if training else None,
        target,
        trained_before=training.trained_before if training else False,
    )


def with_classes(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis with what the validation set says of single classes of the trained model."""
    description = artifacts.load_description()
    validation = predictions.load(artifacts.VALIDATION.read_bytes())
    splits = PreprocessReport.load().splits
    trained, validated = splits["train"].per_class, splits["validation"].per_class
    scoring = targets.scoring(description.target)
    never, poorly = scoring.neglected(validation, description, trained)
    diagnosis = with_ignored(diagnosis, never)
    if diagnosis.verdict == NOT_TRAINED:
        return diagnosis
    return with_few(with_neglected(diagnosis, poorly), trained, validated)


def report_beside(path: Path, kind: type[AnyReport]) -> AnyReport | None:
    """The report of a stage in the folder of `path`.

    None if there is none, or if another program wrote a file of that name. Raises UserError if the
    pipeline's own is damaged.
    """
    try:
        return kind.load(path.with_name(kind.PATH.name))
    except FileNotFoundError:
        return None
    except UserError:
        if path == artifacts.LEARNING_CURVES:
            raise
        return None


def diagnose_file(path: Path, target: float | None, picture: Path | None) -> None:
    """Diagnoses any learning curves; `target` stands for problem.target. Raises UserError."""
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "is not a file"
        raise UserError(
            f"{path} {fault}; name a file such as learning_curves.csv, which `train` writes"
        )
    if picture is not None and picture.is_dir():
        raise UserError(f"--picture {picture} is a folder; name a file")
    log = training_log.read(path)
    diagnosis = diagnose_rows(path, log.rows, goal(log.rows, params.load().problem, target))
    show(path, log, diagnosis, picture)


def show(path: Path, log: TrainingLog, diagnosis: Diagnosis, picture: Path | None) -> None:
    """Prints the diagnosis of the curves in `path`, and draws them into `picture`, if one is named.

    Raises UserError.
    """
    if picture is not None:
        training = report_beside(path, TrainReport)
        kept_epoch = training.kept_epoch if training else None
        caption = (diagnosis.verdict, diagnosis.epoch, diagnosis.sentence)
        draw(picture, log.rows, kept_epoch, caption)
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in diagnosis.numbers.items())
    print(f"{diagnosis.verdict} (from epoch {diagnosis.epoch}; {numbers}): {diagnosis.sentence}")
    for note in log.notes:
        print(f"note: {note}")


def main() -> None:
    path = artifacts.LEARNING_CURVES
    log = training_log.read(path)
    target = goal(log.rows, params.load().problem, None)
    diagnosis = with_classes(diagnose_rows(path, log.rows, target))
    key = TrainReport.load().training_key
    DiagnosisReport(training_key=key, **asdict(diagnosis)).save()
    show(path, log, diagnosis, path.with_suffix(".png"))


if __name__ == "__main__":
    stage.run(main)
