"""Learning curves as other programs and spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.diagnosis import training_log
from tests.reports import diagnosed
from tests.training_log.conftest import (
    ACCURACY,
    EPOCHS,
    LOSS,
    OURS,
    TRAIN_ACCURACY,
    TRAIN_LOSS,
    columns,
    command,
    csv_text,
    write,
)

FROM_1, FROM_0 = columns(), columns(first=0)
KERAS = csv_text("epoch,accuracy,loss,val_accuracy,val_loss", FROM_0, (0, 2, 1, 4, 3))
LIGHTNING = "epoch,step,train_acc,train_loss_epoch,train_loss_step,val_acc,val_loss\n" + "".join(
    f"{epoch},{50 * epoch + 9},,,{loss + 0.1},,\n"
    f"{epoch},{50 * epoch + 49},,,,{accuracy},{validation}\n"
    f"{epoch},{50 * epoch + 49},{train_accuracy},{loss},,,\n"
    for epoch, loss, train_accuracy, validation, accuracy in FROM_0
)
ULTRALYTICS = (
    "       epoch,   time,  train/loss, metrics/accuracy_top1, metrics/accuracy_top5,  val/loss, "
    "lr/pg0\n"
    + "".join(
        f"      {epoch},  {8.1 * epoch},     {loss},          {accuracy},  0.99,         "
        f"{validation},  0.01\n"
        for epoch, loss, _, validation, accuracy in FROM_1
    )
)
HUGGING_FACE = (
    "loss,grad_norm,learning_rate,epoch,step,eval_loss,eval_accuracy,eval_runtime,train_runtime,"
    "train_loss\n"
    + "".join(
        f"{loss - 0.1},1.1,0.001,{epoch - 0.5},{100 * epoch - 50},,,,,\n"
        f"{loss + 0.1},1.0,0.001,{epoch}.0,{100 * epoch},,,,,\n"
        f",,,{epoch}.0,{100 * epoch},{validation},{accuracy},3.2,,\n"
        for epoch, loss, _, validation, accuracy in FROM_1
    )
)
HUGGING_FACE += (
    f",,,{EPOCHS}.0,{100 * EPOCHS},,,,412.5,0.61\n"  # the Trainer adds this row at the end
)
SEMICOLONS = csv_text(OURS.replace(",", ";"), FROM_1).replace(",", ";").replace(".", ",")
TABS = csv_text(OURS, FROM_1).replace(",", "\t")
PREFIXED = csv_text("Epoch,train/loss,train/acc,val/loss,val/acc", FROM_1)
FASTAI = csv_text("epoch,train_loss,valid_loss,accuracy,time", FROM_0, (0, 1, 3, 4, 0))
NOTEBOOK = csv_text("Epoch,Training Loss,Validation Loss,Accuracy", FROM_1, (0, 1, 3, 4))


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (csv_text(OURS, FROM_1), 1),
        (csv_text(OURS, FROM_0), 0),
        (KERAS, 0),
        (KERAS.replace("accuracy", "sparse_categorical_accuracy"), 0),
        (LIGHTNING, 0),
        (ULTRALYTICS, 1),
        (HUGGING_FACE, 1),
        (PREFIXED, 1),
        (FASTAI, 0),
        (NOTEBOOK, 1),
        (SEMICOLONS, 1),
        (TABS, 1),
        ("\ufeff" + csv_text(OURS, FROM_1).replace("\n", "\r\n"), 1),
        (csv_text(OURS, FROM_1).replace("\n", "\r\n").encode("utf-16"), 1),
        (csv_text(OURS, FROM_1).replace("\n", " , \n"), 1),
        (csv_text(OURS, FROM_1[::-1]), 1),
    ],
)
def test_the_same_training_has_the_same_diagnosis_whoever_wrote_the_file(
    content: str | bytes, first: int, tmp_path: Path
) -> None:
    path = write(tmp_path, content)
    rows = training_log.read(path).rows
    np.testing.assert_allclose([row["train_loss"] for row in rows], TRAIN_LOSS)
    np.testing.assert_allclose([row["validation_loss"] for row in rows], LOSS)
    np.testing.assert_allclose([row["validation_accuracy"] for row in rows], ACCURACY)
    if "train_accuracy" in rows[0]:
        np.testing.assert_allclose([row["train_accuracy"] for row in rows], TRAIN_ACCURACY)
    assert [row["epoch"] for row in rows] == list(range(first, first + EPOCHS))
    diagnosis = diagnosed(path, 0.9)
    assert (diagnosis.verdict, diagnosis.epoch) == ("overfit", first + 6)
    assert diagnosis.sentence.startswith(f"from epoch {first + 6} on the validation loss rises")


def test_validation_twice_an_epoch_stays_twice_an_epoch(tmp_path: Path) -> None:
    halves = [(epoch / 2, *figures) for epoch, *figures in FROM_1]
    diagnosis = diagnosed(write(tmp_path, csv_text(OURS, halves)), 0.9)
    assert (diagnosis.verdict, diagnosis.epoch) == ("overfit", 3.5)
    assert "from epoch 3.5 on" in diagnosis.sentence


def test_one_of_the_accuracies_may_be_missing(tmp_path: Path) -> None:
    plateau = [
        (
            epoch,
            1.6 + 0.6 / 2**epoch,
            0.4 - 0.2 / 2**epoch,
            1.62 + 0.6 / 2**epoch,
            0.39 - 0.2 / 2**epoch,
        )
        for epoch in range(1, 21)
    ]
    header = "epoch,train/loss,val/loss,metrics/accuracy_top1"
    path = write(tmp_path, csv_text(header, plateau, (0, 1, 3, 4)))
    diagnosis = diagnosed(path, 0.9)
    assert diagnosis.verdict == "too_little_capacity"
    assert diagnosis.sentence.startswith("the accuracy levels off at 39.0 %")
    learned = [(epoch, 0.001 + 2 / 4**epoch, 0, 1.6 + 2 / 4**epoch, 0.7) for epoch in range(1, 21)]
    path = write(tmp_path, csv_text("loss,eval_loss,eval_accuracy,epoch", learned, (1, 3, 4, 0)))
    assert diagnosed(path, 0.9).verdict == "unrepresentative_training", (
        "a training loss near 0 is not too little capacity"
    )
    done = command(path, "--picture", tmp_path / "curves.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1000, 450)


def test_percent_is_read_as_percent_with_a_note(tmp_path: Path) -> None:
    path = write(tmp_path, csv_text(OURS, columns(scale=100)))
    expected = diagnosed(write(tmp_path, csv_text(OURS, FROM_1)), 0.9)
    done = command(write(tmp_path, csv_text(OURS, columns(scale=100))), "--target", "0.9")
    diagnosis = diagnosed(path, 0.9)
    assert diagnosis.verdict == expected.verdict
    assert diagnosis.epoch == expected.epoch
    assert diagnosis.sentence == expected.sentence
    assert done.stdout.startswith("overfit (from epoch 7;")
    note = "train_accuracy and validation_accuracy are read as percent, since the values go above 1"
    assert f"note: {note}" in done.stdout


def test_a_percent_column_that_begins_below_one_is_percent_as_a_whole(tmp_path: Path) -> None:
    rows = [
        (epoch, 5 - epoch / 4, 0.1 * 3 ** (epoch / 2), 5 - epoch / 5, 0.1 * 2.8 ** (epoch / 2))
        for epoch in range(1, 13)
    ]
    log = training_log.read(write(tmp_path, csv_text(OURS, rows)))
    np.testing.assert_allclose(
        [row["train_accuracy"] for row in log.rows], [row[2] / 100 for row in rows]
    )


def test_rounding_above_one_is_not_percent(tmp_path: Path) -> None:
    rows = [(epoch, 0.1 / epoch, 1.0000001, 0.1 / epoch, 0.99) for epoch in range(1, 9)]
    log = training_log.read(write(tmp_path, csv_text(OURS, rows)))
    assert {row["train_accuracy"] for row in log.rows} == {1.0}
    assert log.notes == []


def test_a_file_that_was_appended_to_counts_from_where_it_starts_again(tmp_path: Path) -> None:
    text = csv_text(OURS, FROM_1)
    path = write(tmp_path, text + text.split("\n", 1)[1])
    done = command(path, "--target", "0.9")
    assert done.stdout.startswith("overfit (from epoch 7;")
    note = "the file has epochs 1 to 12 twice, since it starts again; the later rows are used"
    assert f"note: {note}\n" in done.stdout
    with_header_in_the_middle = text + csv_text(OURS, FROM_1[:3])
    log = training_log.read(write(tmp_path, with_header_in_the_middle))
    assert [row["epoch"] for row in log.rows] == [1, 2, 3]
    assert log.notes == [
        "the file has epochs 1 to 3 twice, since it starts again; the later rows are used, "
        "and epochs 4 to 12 of the earlier rows left out"
    ]
    killed_and_resumed = csv_text(OURS, FROM_1[:8]) + csv_text(OURS, FROM_1[6:])
    log = training_log.read(write(tmp_path, killed_and_resumed))
    assert [row["epoch"] for row in log.rows] == list(range(1, 13))
    assert log.notes == [
        "the file has epochs 7 and 8 twice, since it starts again; the later rows are used"
    ]
    one_row_twice = csv_text(OURS, [*FROM_1[:4], FROM_1[3], *FROM_1[4:]])
    log = training_log.read(write(tmp_path, one_row_twice))
    assert [row["epoch"] for row in log.rows] == list(range(1, 13))
    assert log.notes == ["the file has epoch 4 twice or more; the last row of each is used"]


def test_the_picture_has_the_epochs_of_the_file(tmp_path: Path) -> None:
    pictures = []
    for first in (0, 100):
        path = write(tmp_path, csv_text(OURS, columns(first=first)))
        assert command(path, "--picture", tmp_path / f"{first}.png").returncode == 0
        with Image.open(tmp_path / f"{first}.png") as picture:
            pictures.append(np.asarray(picture))
    assert (pictures[0] != pictures[1]).any()
