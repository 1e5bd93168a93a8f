"""Outliers in training: made-up pictures from which a network learns to be unsure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.params import Train
from pipeline.datasets import Raw
from pipeline.process.errors import UserError
from tests.training.conftest import split, train_params

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.mark.parametrize("shape", [(28, 28, 1), (20, 33, 3)])
def test_every_kind_of_outlier_is_a_picture_of_the_same_size(shape: tuple[int, ...]) -> None:
    from pipeline.training import outliers

    images = np.random.default_rng(0).integers(0, 256, (8, *shape), np.uint8)
    for make in set(outliers.KINDS):
        before = images.copy()
        pictures = [make(images, np.random.default_rng(seed)) for seed in (1, 1, 2)]
        assert pictures[0].shape == images.shape
        assert pictures[0].dtype == np.uint8
        np.testing.assert_array_equal(pictures[0], pictures[1])
        if make is not outliers.inverted:
            assert (pictures[0] != pictures[2]).any()
        np.testing.assert_array_equal(images, before)


def test_crossed_pictures_hold_two_images_and_silhouettes_are_wider_than_a_stroke() -> None:
    from pipeline.training import outliers

    images = np.zeros((60, 28, 28, 1), np.uint8)
    images[:, 2:26, 13:15] = np.arange(1, 61, dtype=np.uint8)[:, None, None, None]  # a one
    both = outliers.crossed(images, np.random.default_rng(0))
    assert (both >= images).all()
    assert (both[:, 13:15, 2:26] > 0).all(), "the other one lies across it"
    filled = outliers.silhouettes(images, np.random.default_rng(0)) > 20
    area = filled.mean((1, 2, 3))
    assert np.quantile(area, 0.1) > (images > 0).mean()


def test_outliers_follow_the_batch_and_belong_to_every_class_alike() -> None:
    from pipeline.training import outliers

    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
    labels = np.eye(10, dtype="float32")[np.arange(40) % 10]
    more, targets = outliers.added(images, labels, 0.25, (0, 1, 2))
    assert (len(more), len(targets)) == (50, 50)
    np.testing.assert_array_equal(more[:40], images)
    np.testing.assert_array_equal(targets[:40], labels)
    assert (targets[40:] == np.float32(0.1)).all()


def test_a_users_own_pictures_follow_the_batch_and_belong_to_every_class_alike() -> None:
    from pipeline.training import outliers

    images, labels = np.zeros((40, 6, 6, 1), np.uint8), np.eye(10, dtype="float32")[[3] * 40]
    others = np.arange(1, 9, dtype=np.uint8)[:, None, None, None] * np.ones((6, 6, 1), np.uint8)
    drawn = [outliers.with_others(images, labels, others, (0, 1, seed)) for seed in (2, 2, 3)]
    for more, targets in drawn:
        assert len(more) == len(targets) == 46
        np.testing.assert_array_equal(targets[:40], labels)
        assert (targets[40:] == np.float32(0.1)).all()
        assert set(more[40:, 0, 0, 0]) <= set(range(1, 9))
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    assert (drawn[0][0] != drawn[2][0]).any()


@pytest.mark.long
def test_a_network_that_saw_outliers_is_less_sure_of_what_is_no_digit(
    raw_mnist: Raw, tmp_path: Path
) -> None:
    from pipeline.training import fit, keras_files

    strange = {
        "noise": np.random.default_rng(7).integers(0, 256, (200, 28, 28, 1), np.uint8),
        "inverted": 255 - raw_mnist.test_images[:200],
    }
    sure = {}
    for share in (0.0, 0.3):
        train = train_params(outliers=share, epochs=8)
        model = fit.fit(train, split(raw_mnist), tmp_path / str(share), lambda row: None).model
        outputs = {name: keras_files.probabilities(model, strange[name]) for name in strange}
        sure[share] = {name: float(rows.max(1).mean()) for name, rows in outputs.items()}
    for name in strange:
        assert sure[0.3][name] < min(0.35, sure[0.0][name] - 0.1), sure


@pytest.mark.parametrize(
    ("data", "train", "sentence"),
    [
        ({}, {"loss": "SparseCategoricalCrossentropy"}, "the loss takes one class"),
        ({"target": "labels"}, {}, "the dataset holds several labels at once; expected "),
        ({"kind": "series"}, {}, "the dataset holds series; expected "),
    ],
)
def test_outliers_are_refused_where_they_mean_nothing(
    raw_mnist: Raw, data: dict[str, Any], train: dict[str, Any], sentence: str
) -> None:
    from dataclasses import replace

    from pipeline.training import compatibility

    for key, share, others in (("train.outliers", 0.1, None), ("dataset.other", 0.0, np.ones(3))):
        params: Train = train_params(outliers=share, **train)
        given = replace(split(raw_mnist), others=others, **data)
        with pytest.raises(UserError, match=f"^{key} .*{sentence}"):
            compatibility.check_outliers(params, given)
