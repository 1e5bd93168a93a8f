"""Learning curves that cannot be read: the sentence names row and column."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.diagnosis import training_log
from pipeline.process.errors import UserError
from tests.reports import diagnosed
from tests.training_log.conftest import ACCURACY, LOSS, OURS, columns, command, csv_text, write
from tests.training_log.test_programs import FROM_0, FROM_1

TWO_ROWS = f"{OURS}\n1,1.5,0.4,1.6,0.3\n"
PERCENT = csv_text(OURS, columns(scale=100)).splitlines()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            f"{TWO_ROWS}2,1.2,0.5,,0.4\n",
            "row 3 (epoch 2) has no number in the column validation_loss",
        ),
        (f"{TWO_ROWS}2,1.2,0.5\n", "row 3 (epoch 2) has no number in the column validation_loss"),
        (
            f"{TWO_ROWS}2,1.2,NA,1.4,0.4\n",
            "row 3 (epoch 2) has no number in the column train_accuracy",
        ),
        (
            f"{TWO_ROWS}\n2,much,0.5,1.4,0.4\n",
            "row 4, column train_loss holds 'much'; expected a number",
        ),
        (f"{TWO_ROWS}2,1.2,0.5,1.4,0.4,7\n", "row 3 has 6 cells, and the header names 5 columns"),
        (f"{TWO_ROWS}2,1,2,0,5,1,4,0,4\n", "row 3 has 9 cells"),
        (f"{TWO_ROWS},1.2,0.5,1.4,0.4\n", "row 3 has no number in the column epoch"),
        (f"{TWO_ROWS}nan,1.2,0.5,1.4,0.4\n", "row 3 has no number in the column epoch"),
        (
            f"{TWO_ROWS}2,1.2,0.5,1.4,-0.4\n",
            "row 3 (epoch 2) has -0.4 in the column validation_accuracy",
        ),
        (
            f"{TWO_ROWS}2,1.2,0.5,1.4,140\n",
            "row 3 (epoch 2) has 140 in the column validation_accuracy",
        ),
        (
            csv_text(OURS, FROM_1)
            .replace("5,0.7", "5,70.7", 1)
            .replace(f",{ACCURACY[8]}\n", ",78\n"),
            "(epoch 9) has 78 in the column",
        ),
        (
            "\n".join([PERCENT[0], *(f"{line.rsplit(',', 1)[0]},0.5" for line in PERCENT[1:])]),
            "train_accuracy is in percent and the other",
        ),
        (f"{OURS}\n", "has a header and no values below it"),
        ("\n\n", "has no epoch: it is empty"),
        ("", "has no epoch: it is empty"),
        (
            "epoch,loss\n1,0.5\n",
            "has no train_loss, validation_loss, train_accuracy, validation_accuracy",
        ),
        ("epoch,train_loss,train_accuracy\n1,0.5,0.8\n", "has no validation_loss; expected"),
        (
            "epoch,train_loss,val_loss\n1,0.5,0.8\n",
            "has no train_accuracy, validation_accuracy; expected",
        ),
        ("train_loss,val_loss,val_acc\n0.5,0.8,0.9\n", "has no epoch; expected"),
        (
            "epoch,loss,loss,accuracy,val_loss\n1,0.5,0.6,0.5,0.8\n",
            "has 2 columns for train_loss (loss, loss); leave one of them",
        ),
        (
            "epoch,train_loss,train/loss,val_loss,val_acc\n1,1,1,1,0.8\n",
            "(train_loss, train/loss); leave one of them",
        ),
        (
            "epoch,train/box_loss,val/box_loss,metrics/mAP50\n1,1,1,0.3\n",
            "has no train_loss, validation_loss",
        ),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is not a text file"),
        (b"epoch,train_loss\n1,\xff\xfe\xb2\n", "is not a text file"),
        (b"PK\x03\x04\x14\x00\x06\x00", "is not a text file"),
        (b"\xff\xfee", "is not a text file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_row_and_column(
    content: str | bytes, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refusal:
        training_log.read(write(tmp_path, content))
    assert reason in str(refusal.value)
    assert str(refusal.value).startswith(f"{tmp_path}/curves.csv")
    assert "\n" not in str(refusal.value)


def test_a_folder_and_a_missing_file_are_different_errors(tmp_path: Path) -> None:
    cure = "name a file such as learning_curves.csv, which `train` writes"
    done = command(tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} is a folder; {cure}\n"
    done = command(os.devnull)
    assert done.stderr == f"error: {os.devnull} is not a file; {cure}\n"


@pytest.mark.parametrize("cell", ["nan", "NaN", "inf", "-inf"])
def test_a_loss_that_is_not_finite_is_a_verdict_and_not_an_error(cell: str, tmp_path: Path) -> None:
    rows = [*FROM_0[:4], (4, cell, 0.5, LOSS[4], 0.5), *FROM_0[5:]]
    diagnosis = diagnosed(write(tmp_path, csv_text(OURS, rows)), 0.9)
    assert (diagnosis.verdict, diagnosis.epoch) == ("diverged", 4)
    assert "at epoch 4" in diagnosis.sentence
