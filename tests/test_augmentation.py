"""Augmentation presets, and layers that mix the images of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import params
from pipeline.config.params import Train
from pipeline.process.errors import UserError
from tests.conftest import ROOT

pytestmark = pytest.mark.filterwarnings("ignore")

MIXUP = {"class_name": "MixUp", "config": {"alpha": 0.4}}
CUTMIX = {"class_name": "CutMix", "config": {"factor": 1.0}}


def train_params(**values: Any) -> Train:
    base = params.load(ROOT / "params.yaml").train.model_dump()
    small = {
        "architecture": "mlp",
        "network": {"hidden": [4]},
        "epochs": 3,
        "batch_size": 8,
        "steps_per_execution": 1,
    }
    return Train.model_validate(base | small | values)


def photos(channels: int = 3) -> Any:
    from pipeline.training.batches import Data

    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, channels), np.uint8)
    labels = np.arange(24) % 3
    return Data((images[:16], labels[:16]), (images[16:], labels[16:]), 3)


def first_batch(train: Train, epoch: int = 0, index: int = 0) -> tuple[Any, Any]:
    from pipeline.training import augmentation
    from pipeline.training.batches import ShuffledBatches

    batches = ShuffledBatches(photos(), 8, False, train.seed, epoch)
    batches.mixing = augmentation.mixing(train, (16, 16, 3), sparse=False)
    return batches.batch(index)


def test_the_preset_for_digits_is_the_augmentation_of_params_yaml() -> None:
    from pipeline.training import augmentation

    listed = params.load(ROOT / "params.yaml").train
    preset = listed.model_copy(update={"augmentation": "digits"})
    assert augmentation.objects(preset, (28, 28, 1)) == listed.augmentation


@pytest.mark.parametrize("name", ["digits", "photos_light", "photos_strong"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_preset_changes_images_and_keeps_them_in_range(name: str, channels: int) -> None:
    import keras

    from pipeline.training import augmentation

    layers = augmentation.layers(train_params(augmentation=name), (16, 16, channels))
    images = photos(channels).train[0].astype(np.float32)
    changed = keras.Sequential(layers)(images, training=True)
    changed = keras.ops.convert_to_numpy(changed)
    assert changed.shape == images.shape
    assert np.isfinite(changed).all()
    assert changed.min() >= -1e-3
    assert changed.max() <= 255 + 1e-3
    assert not np.allclose(changed, images)


@pytest.mark.parametrize("layer", [MIXUP, CUTMIX])
def test_mixing_gives_each_image_the_labels_of_the_images_that_are_in_it(
    layer: dict[str, Any],
) -> None:
    train = train_params(augmentation=[layer])
    images, labels = first_batch(train)
    plain_images, plain_labels = first_batch(train_params(augmentation=[]))
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)
    assert ((labels > 0.01) & (labels < 0.99)).any()
    for image, label, plain, plain_label in zip(
        images, labels, plain_images, plain_labels, strict=True
    ):
        own = float(label[plain_label.argmax()])
        if own < 0.99:  # of another class too, so it is another image
            assert not np.allclose(image, plain)


def test_how_images_are_mixed_depends_on_seed_epoch_and_batch_alone() -> None:
    train = train_params(augmentation=[MIXUP, CUTMIX])
    images, labels = first_batch(train)
    again, labels_again = first_batch(train)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, labels_again)
    for other in (first_batch(train, epoch=1), first_batch(train, index=1)):
        assert not np.array_equal(labels, other[1])


def test_mixing_needs_a_loss_that_takes_mixed_labels() -> None:
    from pipeline.training import augmentation

    with pytest.raises(UserError, match=r"MixUp mixes labels.*CategoricalCrossentropy"):
        augmentation.mixing(train_params(augmentation="photos_strong"), (16, 16, 3), sparse=True)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="digits"):
        train_params(augmentation="photos")


@pytest.mark.attacks
@pytest.mark.slow
def test_an_interrupted_training_with_mixed_images_ends_in_the_same_weights(tmp_path: Path) -> None:
    from pipeline.training import fit

    train = train_params(augmentation="photos_strong", keep="last")
    data = photos()

    class KilledError(Exception):
        pass

    def kill(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KilledError

    whole = fit.fit(train, data, tmp_path / "whole", lambda row: None)
    with pytest.raises(KilledError):
        fit.fit(train, data, tmp_path / "killed", kill)
    resumed = fit.fit(train, data, tmp_path / "killed", lambda row: None)
    for actual, expected in zip(resumed.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(actual, expected)
