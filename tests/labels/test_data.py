"""Labels in files and in splits, and those from which nothing can be learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import download, preprocess
from pipeline.config import params
from pipeline.config.params import Train
from pipeline.datasets import Raw, mnist_pairs
from pipeline.files.artifacts import Array
from pipeline.files.splits import Groups, splits
from pipeline.process.errors import UserError
from pipeline.search import cached_training, folds
from pipeline.search.analysis import Analysis, AnalysisOptions
from pipeline.targets import labels
from tests.conftest import ROOT
from tests.labels.conftest import OWN, TRUE, drawn
from tests.own_arrays import load
from tests.settings import configure

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (TRUE[:, :2], r"labels of shape \(4, 2\); expected 0 or 1 for each of 3 labels"),
        (TRUE * 2, "expected 0 or 1 for each of 3 labels"),
        (TRUE[:0], "label 'a' has no example in the training part; expected at least one"),
        (TRUE[:3], "label 'c' has no example in the training part; expected at least one"),
        (TRUE | [0, 1, 0], "every example in the training part has label 'b'; expected one"),
    ],
)
def test_labels_from_which_nothing_can_be_learned_are_refused(wrong: Array, sentence: str) -> None:
    images = np.zeros((len(wrong), 12, 12, 1), np.uint8)
    with pytest.raises(UserError, match=sentence):
        preprocess.check(images, wrong, OWN, "training")


def test_a_stratified_split_has_each_combination_of_labels_in_proportion() -> None:
    strata = labels.strata(np.repeat(TRUE, labels.RARE, axis=0))
    assert len(set(strata.tolist())) == 4
    assert (strata.reshape(4, -1) == strata[:: labels.RARE, None]).all()


def test_a_label_whose_combinations_are_all_rare_is_in_each_split() -> None:
    """A combination of one example is in no fifth of the examples in proportion."""
    numbers = np.arange(200)
    frequent = numbers[:, None] >> np.arange(2) & 1
    present = np.column_stack([frequent, np.isin(numbers, (3, 90, 172))]).astype(np.int64)
    settings = params.load(ROOT / "params.yaml").preprocess.model_copy(
        update={"subset": None, "validation": 0.2, "order": "stratified"}
    )
    groups = Groups(numbers, one_of_each=True)
    rows = splits(labels.strata(present), 0.2, settings, groups=groups)
    for part, own in rows.items():
        labels.check(present[own], OWN, part)
    assert len(rows["test"]) == 40


def test_folds_need_several_examples_of_a_label_and_not_of_a_combination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nobody listens
    cached_training.data_digests.cache_clear()
    images = drawn(60)[0]
    present = np.eye(2, dtype=int)[np.arange(60) % 2]
    present[:2] = 1
    np.savez("own.npz", x_train=images, y_train=present)
    changes = {"dataset.name": "npz", "dataset.path": "own.npz", "preprocess.subset": None}
    settings = configure(changes)
    download.main()
    fewest = min(np.unique(cached_training.strata(), return_counts=True)[1])
    each = folds.validating(Analysis("folds", AnalysisOptions()), 4)
    assert fewest < 4 == len(each)
    held_out = np.concatenate([training.validation_rows for training in each])
    assert sorted(held_out) == sorted(np.concatenate(cached_training.split_rows(settings)))


def test_an_npz_has_a_column_for_each_label_and_one_hot_rows_are_classes(tmp_path: Path) -> None:
    images, present = drawn(8)
    raw = load(tmp_path, x_train=images, y_train=present.astype(bool))
    assert (raw.target, raw.class_names) == ("labels", ["0", "1", "2"])
    assert raw.train_labels.tolist() == present.tolist()
    assert raw.test_labels.shape == (0, 3)
    one_hot = load(tmp_path, x_train=images, y_train=np.eye(3, dtype=int)[[0, 2, 1, 1, 0, 2, 0, 0]])
    assert (one_hot.target, one_hot.class_names) == ("classes", ["0", "1", "2"])
    assert one_hot.train_labels.tolist() == [0, 2, 1, 1, 0, 2, 0, 0]
    with pytest.raises(UserError, match=r"y_test is of shape \(8,\) and y_train of \(8, 3\)"):
        load(tmp_path, x_train=images, y_train=present, x_test=images, y_test=present[:, 0])
    with pytest.raises(UserError, match=r"or 0 and 1 of shape \(N, K\) for several labels at once"):
        load(tmp_path, x_train=images, y_train=present / 2)


def test_a_pair_of_digits_has_the_labels_of_both(raw_mnist: Raw) -> None:
    images, present = mnist_pairs.pairs(raw_mnist.test_images, raw_mnist.test_labels)
    assert images.shape == (5000, 28, 56, 1)
    assert present.shape == (5000, 10)
    assert set(present.sum(1).tolist()) == {1, 2}
    used = np.sort(images.reshape(5000, 28, 2, 28).transpose(0, 2, 1, 3).reshape(10000, -1).sum(1))
    assert (used == np.sort(raw_mnist.test_images.reshape(10000, -1).sum(1))).all()
    assert (present.sum(0) <= np.bincount(raw_mnist.test_labels)).all()


@pytest.mark.slow  # imports TensorFlow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"loss": "CategoricalCrossentropy"}, "train.loss is CategoricalCrossentropy, and the"),
        (
            {"network": {"output": "softmax"}},
            "train.network.output is softmax, and the dataset asks for labels; expected sigmoids",
        ),
    ],
)
def test_a_loss_or_output_of_one_class_is_refused(change: dict[str, Any], sentence: str) -> None:
    from pipeline.training import models
    from pipeline.training.batches import Data

    images, present = drawn(8)
    split = images[..., None], present
    settings = params.load(ROOT / "params.yaml").train.model_dump()
    train = Train.model_validate({**settings, "loss": "BinaryCrossentropy", **change})
    with pytest.raises(UserError, match=sentence):
        models.build(train, Data(split, split, 3, target="labels"))
