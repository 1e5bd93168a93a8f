"""The numbers of a dataset: what is taken, refused and split, and the baselines."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import preprocess, targets
from pipeline.config import params
from pipeline.config.params import Train
from pipeline.datasets import Raw, mnist_rotation, movielens_100k
from pipeline.process.errors import UserError
from pipeline.reporting import pictures
from pipeline.search import data_size
from pipeline.search.analysis import check_answers
from pipeline.search.power_law import ErrorCurve
from pipeline.targets import _errors, number
from tests.conftest import EDGEPROOF, OWN_PROBLEM, ROOT, Project
from tests.number.conftest import OWN, UNIT, drawn
from tests.own_arrays import load

# Whichever test comes first makes the project, in this process.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]


def test_floats_of_an_npz_are_numbers(tmp_path: Path) -> None:
    images, angles = drawn(8)
    raw = load(tmp_path, x_train=images, y_train=angles[:, None], class_names=np.array(["angle"]))
    assert (raw.target, raw.class_names) == ("number", ["angle"])
    assert raw.train_labels.dtype == np.float32
    assert raw.train_labels.tolist() == angles.astype(np.float32).tolist()
    assert raw.test_labels.shape == (0,)
    for wrong, sentence in (
        ({"y_train": np.array([1.0, np.nan])}, "y_train has nan in number 1, counted from 0"),
        ({"y_train": np.array([1e300, 1.0])}, "expected finite numbers that float32 holds"),
        (
            {"y_train": np.ones(2), "x_test": images[:2], "y_test": np.ones(2, int)},
            "one of y_train and y_test holds floats, a number, and the other integers, classes",
        ),
    ):
        with pytest.raises(UserError, match=sentence):
            load(tmp_path, x_train=images[:2], **wrong)


def test_numbers_from_which_nothing_can_be_learned_are_refused() -> None:
    images = np.zeros((3, 12, 12, 1), np.uint8)
    for labels, sentence in (
        (np.ones(3, np.float32), "the training part has 1 different numbers; expected at least 2"),
        (np.ones(3, int), "labels of int64 and shape .3,.; expected a float for each example"),
    ):
        with pytest.raises(UserError, match=sentence):
            preprocess.check(images, labels, OWN, "training")


def test_the_unit_says_whether_the_target_is_an_error() -> None:
    settings = params.load(ROOT / "params.yaml")
    degrees = params.override(settings, UNIT)
    assert degrees.max_loss() == degrees.max_loss(micro=True) == pytest.approx(1.0)
    assert params.override(degrees, {"export.max_error_added": 0.3}).max_loss() == 0.3
    assert settings.max_loss() == settings.export.max_accuracy_drop
    for change, sentence in (
        ({"problem.target": 5.0}, "unit is null; expected a target from 0 to 1, or the unit"),
        ({"problem.unit": "kg", "problem.max_error": 0.1}, "expected null with a unit"),
        ({"problem.unit": "kg", "problem.target": 0.0}, "expected one above 0"),
    ):
        with pytest.raises(UserError, match=sentence):
            params.override(settings, change)
    with pytest.raises(UserError, match="unit is null, and own asks for a number"):
        targets.check_unit(dataclasses.replace(OWN, unit=None))
    with pytest.raises(UserError, match="unit is degrees, and own asks for classes"):
        targets.check_unit(dataclasses.replace(OWN, target="classes"))


def test_what_compares_right_answers_refuses_numbers_before_it_trains() -> None:
    settings = params.load(ROOT / "params.yaml")
    check_answers(settings)
    with pytest.raises(UserError, match="unit is degrees, so the model gives a number"):
        check_answers(params.override(settings, UNIT))
    with pytest.raises(UserError, match="asks for a number, and this command compares right"):
        targets.recognition("number")


def test_the_ratings_of_movielens_are_numbers() -> None:
    raw = movielens_100k.stars(b"196\t242\t3\t881250949\n186\t302\t5\t891717742\n")
    assert (raw.target, raw.class_names, raw.train_labels.tolist()) == (
        "number",
        ["rating"],
        [3, 5],
    )
    assert raw.train_labels.dtype == raw.test_labels.dtype == np.float32
    assert raw.not_passed_on


def test_a_rotated_digit_is_the_same_in_every_download(raw_mnist: Raw) -> None:
    few = raw_mnist.test_images[:200]
    images, angles = mnist_rotation.rotated(few)
    again, same = mnist_rotation.rotated(few)
    assert (images == again).all()
    assert (angles == same).all()
    assert angles.dtype == np.float32
    assert -45 <= angles.min() < -40 < 40 < angles.max() <= 45
    # counter-clockwise is positive: turned back, a digit is nearly as it was
    row = int(angles.argmax())
    back = Image.fromarray(images[row, ..., 0]).rotate(
        -float(angles[row]), Image.Resampling.BILINEAR
    )
    change = np.abs(np.asarray(back, int) - few[row, ..., 0]).mean()
    assert change < 0.4 * np.abs(images[row, ..., 0].astype(int) - few[row, ..., 0]).mean()


def test_the_baselines_are_the_mean_and_ridge_regression(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (400, 4, 4, 1), np.uint8)
    true = (images[:, 0, 0, 0] * 0.1 + 5).astype(np.float32)
    predict = number.baseline(images, true, OWN, pictures, tmp_path / "ridge.png")
    guesses = predict(images[:100])
    assert guesses["mean"] == pytest.approx(true.mean())
    assert guesses["ridge"] == pytest.approx(true[:100], abs=0.1)
    score = _errors.baseline_score(guesses["mean"], true[:100], OWN)
    assert score.error == pytest.approx(np.abs(true[:100] - true.mean()).mean())
    assert (score.unit, score.goodness) == ("degrees", -score.error)
    assert score.r_squared == pytest.approx(0, abs=0.05)


def test_a_pixel_that_was_always_black_does_not_decide_the_error_of_the_baseline(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (200, 4, 4, 1), np.uint8)
    images[:, 3, 3] = 0
    images[0, 3, 3] = 1
    true = (images[:, 0, 0, 0] * 0.1 + random.normal(0, 2, 200)).astype(np.float32)
    predict = number.baseline(images, true, OWN, pictures, tmp_path / "ridge.png")
    images[:, 3, 3] = 255
    assert np.abs(predict(images)["ridge"] - true).max() < 2.01 * np.ptp(true)


@pytest.mark.parametrize("kind", ["ids", "series"])
def test_every_kind_of_input_has_a_baseline_of_numbers(kind: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inputs = random.integers(1, 30, (200, 6)).astype(np.int32)
    true = (inputs == 7).sum(1).astype(np.float32)
    if kind == "series":
        inputs = random.normal(size=(200, 5, 2)).astype(np.float32)
        true = inputs[:, 2, 1] * 3 - 1
    data = dataclasses.replace(OWN, kind=kind, highest=30, input_shape=inputs.shape[1:])
    guesses = number.baseline(inputs, true, data, pictures, tmp_path / "ridge.png")(inputs)
    assert np.abs(guesses["ridge"] - true).mean() < 0.3 * np.abs(guesses["mean"] - true).mean()


def test_a_stratified_split_has_each_tenth_of_the_numbers_in_proportion() -> None:
    strata = number.strata(np.random.default_rng(0).normal(size=1000).astype(np.float32))
    assert np.bincount(strata).tolist() == [100] * 10
    assert len(set(number.strata(np.array([1, 1, 1, 2], np.float32)).tolist())) == 2
    assert number.margins(np.array([[1.0], [3.0], [8.0]])).tolist() == [0, 2, 0]
    # of data that may not be passed on, none is chosen
    assert number.strata(np.zeros(0, np.float32)).shape == (0,)
    assert number.margins(np.zeros((0, 1), np.float32)).shape == (0,)


@pytest.mark.slow  # imports TensorFlow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"loss": "CategoricalCrossentropy"}, "expected MeanSquaredError or MeanAbsoluteError or"),
        ({"network": {"output": "softmax"}}, "output is softmax, and the dataset asks for number"),
        ({"keep": "validation_accuracy"}, "a number has none; expected validation_loss or last"),
    ],
)
def test_what_a_number_does_not_fit_is_refused(change: dict[str, Any], sentence: str) -> None:
    from pipeline.training import models
    from pipeline.training.batches import Data

    images, angles = drawn(8)
    split = images[..., None], angles.astype(np.float32)
    settings = params.load(ROOT / "params.yaml").train.model_dump()
    train = Train.model_validate({**settings, "loss": "Huber", **change})
    with pytest.raises(UserError, match=sentence):
        models.build(train, Data(split, split, 1, target="number"))


def test_the_forecast_of_more_data_speaks_of_the_error_in_its_unit() -> None:
    sizes = np.repeat(1000 * 2 ** np.arange(6), 4).astype(float)
    noise = np.exp(np.random.default_rng(0).normal(0, 0.03, len(sizes)))
    report = data_size.report(ErrorCurve(sizes, 30 * sizes**-0.4 * noise, "degrees"), 0.2)
    texts = [report.sentence, *report.notes, *(cell for row in report.table for cell in row)]
    assert re.search(r"reduce the validation error from [\d.]+ degrees to [\d.]+ degrees", texts[0])
    assert "By this law the target of 0.2 degrees needs" in report.notes[0]
    needed = float(report.notes[0].split(" needs ")[1].split()[0])
    assert needed == pytest.approx((30 / 0.2) ** 2.5, rel=0.2)
    assert not any("%" in text.replace("95 %", "") for text in texts)


@pytest.mark.slow
def test_data_size_trains_and_forecasts_for_a_number(project: Project) -> None:
    images, angles = drawn(1000)
    np.savez(project.folder / "own.npz", x_train=images, y_train=angles, class_names=["angle"])
    project.change(
        {
            **OWN_PROBLEM,
            **UNIT,
            "dataset.name": "npz",
            "dataset.path": "own.npz",
            "preprocess.subset": None,
            "train.loss": "Huber",
            "train.augmentation": [],
            "train.epochs": 1,
        }
    )
    project.run(sys.executable, "-m", "pipeline.download")
    shown = project.run(*EDGEPROOF, "data-size", "--sizes", "4", "--parts", "2")
    assert re.search(r"smaller sizes predict [\d.]+ to [\d.]+ degrees for the largest", shown)
    assert "accuracy" not in shown
    assert "degrees" in (project.folder / "reports/data_size.md").read_text()
