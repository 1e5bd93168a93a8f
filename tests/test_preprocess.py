"""The splits, the data report, and data from which nothing can be learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import download, preprocess
from pipeline.config import params
from pipeline.config.params import Preprocess
from pipeline.files import raw, splits
from pipeline.files.artifacts import Description
from pipeline.files.reports.preprocess import Evidence
from pipeline.process.errors import UserError
from pipeline.reporting import split_notes
from tests.conftest import OWN_PROBLEM, ROOT
from tests.settings import configure

OWN = Description("own", ["a", "b"], (2, 2, 1), {}, ["broken.png"])


def settings(**values: object) -> Preprocess:
    return Preprocess.model_validate(
        {"subset": None, "validation": 0.1, "order": "stratified", "seed": 42, **values}
    )


@given(
    seed=st.integers(0, 1000),
    order=st.sampled_from(["stratified", "random", "first", "last"]),
    count=st.integers(1, 99),
)
def test_every_row_goes_to_one_split(seed: int, order: str, count: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, 100)
    rows = splits.splits(labels, None, settings(validation=count, order=order, seed=seed))
    assert sorted([*rows["train"], *rows["validation"]]) == list(range(100))
    assert len(rows["validation"]) == count
    each = splits.Groups(np.arange(100), one_of_each=True)
    rows = splits.splits(
        labels, None, settings(validation=count, order=order, seed=seed), None, each
    )
    # then a stratified part has each of the three classes
    assert len(rows["validation"]) == (max(count, 3) if order == "stratified" else count)


def test_a_subset_of_more_examples_than_there_are_is_all_of_them() -> None:
    """So that --quick, which takes 1,000, works for a few hundred photos too."""
    labels = np.repeat([0, 1], 200)
    everything = splits.splits(labels, 0.2, settings())
    for part, rows in splits.splits(labels, 0.2, settings(subset=1000)).items():
        np.testing.assert_array_equal(rows, everything[part])


def test_a_stratified_validation_part_has_each_class_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    rows = splits.splits(labels, None, settings(validation=100))
    assert np.bincount(labels[rows["validation"]]).tolist() == [60, 30, 10]


def test_a_class_of_three_examples_has_one_in_each_part() -> None:
    """Also where the parts would be smaller than there are classes."""
    for labels in (np.repeat([0, 1], [297, 3]), np.repeat(np.arange(1000), 3)):
        each = splits.Groups(np.arange(len(labels)), one_of_each=True)
        rows = splits.splits(labels, 0.2, settings(), None, each)
        assert sorted(np.concatenate(list(rows.values()))) == list(range(len(labels)))
        for part in rows.values():
            assert np.bincount(labels[part], minlength=labels.max() + 1).all()


@pytest.mark.parametrize(("target", "validation"), [("labels", 45), ("number", 5)])
def test_only_classes_are_forced_into_every_part(
    target: str, validation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not combinations of labels, of which 8 labels have more than there are test examples."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (500, 4, 4), np.uint8)
    present = (rng.random((500, 8)) < 0.3).astype(int)
    wanted = present if target == "labels" else rng.random(500)
    np.savez("own.npz", x_train=images, y_train=wanted)
    data = {"name": "npz", "path": "own.npz", "test": 0.1}
    values = {"dataset": data, "preprocess.validation": validation, "problem.unit": "years"}
    settings = configure(values)
    download.main()
    rows = preprocess.select(raw.description(), settings)
    assert {part: len(selection.rows) for part, selection in rows.items()} == {
        "train": 450 - validation,
        "validation": validation,
        "test": 50,
    }


def test_order_first_takes_the_first_images_for_training_as_the_lectures_do() -> None:
    rows = splits.splits(np.zeros(50, int), None, settings(subset=40, validation=10, order="first"))
    assert rows["train"].tolist() == list(range(30))
    assert rows["validation"].tolist() == list(range(30, 40))


def test_order_last_takes_the_last_images_for_training() -> None:
    rows = splits.splits(np.zeros(50, int), None, settings(subset=40, validation=10, order="last"))
    assert rows["train"].tolist() == list(range(10, 40))
    assert rows["validation"].tolist() == list(range(10))


def test_a_missing_test_part_is_split_off_first_and_shared_with_no_other() -> None:
    labels = np.tile([0, 1], 50)
    rows = splits.splits(labels, 0.2, settings())
    assert len(rows["test"]) == 20
    assert sorted(np.concatenate(list(rows.values()))) == list(range(100))


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (3, [0, 1], "3 images and 2 labels"),
        (2, [0, 2], "labels from 0 to 2; expected 0 to 1"),
        (2, [-1, 0], "labels from -1 to 0"),
        (2, [0, 0], "class 'b' has no example"),
        (0, [], "is empty"),
    ],
)
def test_data_from_which_nothing_can_be_learned_are_refused(
    images: int, labels: list[int], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        preprocess.check(
            np.zeros((images, 2, 2, 1), np.uint8), np.array(labels, int), OWN, "training"
        )


@pytest.mark.parametrize(("highest", "is_told"), [(1, True), (16, True), (255, False)])
def test_pixels_that_are_too_dark_for_photos_are_told(
    highest: int,
    is_told: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For example the digits of scikit-learn, from 0 to 16, and masks of 0 and 1."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, highest + 1, (60, 8, 8), np.uint8)
    np.savez("own.npz", x_train=images, y_train=np.arange(60) % 2)
    own: dict[str, object] = {"dataset": {"name": "npz", "path": "own.npz"}}
    values = {**OWN_PROBLEM, **own, "preprocess.subset": None, "preprocess.validation": 10}
    configure(values)
    download.main()
    preprocess.main()
    warning = f"warning: the brightest training pixel is {highest} of 255; photos on the device"
    assert (warning in capsys.readouterr().out) == is_told


def test_the_report_finds_duplicates_that_leak_and_empty_images() -> None:
    train = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2, 1)
    train[1] = train[0]
    test = np.stack([train[0], np.zeros((2, 2, 1), np.uint8)])
    parts = {"train": (train, np.array([0, 0, 1, 1, 1])), "test": (test, np.array([0, 1]))}
    report = preprocess.report(
        parts,
        OWN,
        Evidence(5, 2, 0.0, 1.0, 0.5, 1.0),
    )
    assert report.duplicates == {"within_train": 1, "within_test": 0, "train_and_test": 1}
    assert report.leaks == {"train_and_test": 1}
    assert report.splits["train"].per_class == {"a": 2, "b": 3}
    pixels = {name: split.model_extra or {} for name, split in report.splits.items()}
    assert report.splits["test"].empty == 1
    assert pixels["train"]["pixel_mean"] == pytest.approx(train.mean())
    assert pixels["train"]["pixel_standard_deviation"] == pytest.approx(train.std())
    assert report.unreadable == ["broken.png"]


def test_too_few_images_are_reported_before_anything_is_trained() -> None:
    default = params.load(ROOT / "params.yaml")
    note = split_notes.too_few(56, default)
    assert note is not None
    assert note.endswith("files will be `not shown`; 1,559 can prove it")
    strict = split_notes.too_few(56, params.override(default, {"verify.require": "proven"}))
    assert strict is not None
    assert strict.endswith(
        "files will be `not shown`, and as verify.require is proven, there will be no bundle; "
        "1,559 can prove it"
    )
    assert split_notes.too_few(1559, default) is None


def test_few_test_images_and_few_for_calibration_are_told() -> None:
    default = params.load(ROOT / "params.yaml")
    tested, calibrated = split_notes.few({"train": 320, "validation": 80, "test": 100}, default)
    assert tested.startswith(
        "100 test examples: an accuracy of 99 % would have a 95 % interval of 94"
    )
    assert tested.endswith("`edgeproof folds` judges the recipe on all 400 others")
    rare, _ = split_notes.few({"train": 320, "validation": 80, "test": 100}, default, 2)
    assert rare.endswith("`edgeproof folds --folds 2` judges the recipe on all 400 others")
    few_groups, _ = split_notes.few({"train": 320, "validation": 80, "test": 100}, default, 50, 4)
    assert few_groups.endswith("`edgeproof folds --folds 3` judges the recipe on all 400 others")
    refused, _ = split_notes.few({"train": 320, "validation": 80, "test": 100}, default, 50, 2)
    assert "folds" not in refused
    assert calibrated.startswith("320 training examples are fewer than export.calibration_images")
    floats = params.override(default, {"export.formats": ["tflite_float32", "onnx_float32"]})
    sizes = {"train": 320, "validation": 80, "test": 100}
    assert split_notes.few(sizes, floats) == [tested], "no file is in int8"
    assert split_notes.few({"train": 54_000, "validation": 6_000, "test": 10_000}, default) == []
