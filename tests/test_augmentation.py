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
from tests.interrupted import assert_same_weights, interrupted

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
    train = train_params(augmentation="photos_strong", keep="last")
    whole = interrupted(train, photos(), tmp_path / "whole")
    resumed = interrupted(train, photos(), tmp_path / "killed", 2)
    assert_same_weights(resumed.model, whole.model)


def series_of(channels: int) -> Any:
    from pipeline.training.batches import Data

    values = np.random.default_rng(0).normal(0, 1, (24, 10, channels)).astype(np.float32)
    labels = np.arange(24) % 2
    return Data((values[:16], labels[:16]), (values[16:], labels[16:]), 2, "series")


def test_a_turn_keeps_the_length_of_every_vector_and_the_angle_between_sensors() -> None:
    from pipeline.training import augmentation

    turn = {"class_name": "RandomTurn", "config": {"degrees": 20}}
    (layer,) = augmentation.layers(train_params(augmentation=[turn]), (10, 6))
    values = series_of(6).train[0].astype(np.float32)
    turned = np.asarray(layer(values, training=True))
    assert not np.allclose(turned, values, atol=0.1)
    before, after = (array.reshape(-1, 2, 3) for array in (values, turned))
    lengths = [np.linalg.norm(array, axis=2) for array in (before, after)]
    np.testing.assert_allclose(lengths[1], lengths[0], rtol=1e-4)
    products = [(array[:, 0] * array[:, 1]).sum(1) for array in (before, after)]
    np.testing.assert_allclose(products[1], products[0], atol=1e-4)
    np.testing.assert_array_equal(layer(values, training=False), values)


def test_the_angle_of_a_turn_has_the_deviation_of_its_config() -> None:
    from pipeline.training import turning

    layer = turning.RandomTurn(10, seed=0)
    axis = np.tile(np.array([1, 0, 0], np.float32), (20_000, 1, 1))
    turned = np.asarray(layer(axis, training=True))[:, 0]
    about_z = np.degrees(np.arctan2(turned[:, 1], turned[:, 0]))
    assert abs(about_z.std() - 10) < 0.3
    assert abs(about_z.mean()) < 0.3


@pytest.mark.parametrize(
    ("names", "data", "sentence"),
    [
        (["RandomFlip"], series_of(6), r"is for images, .* holds series; expected \[\] or RandomT"),
        (["RandomTurn"], series_of(4), r"series of shape \(10, 4\); expected channels that are"),
        (
            ["RandomTurn"],
            photos(),
            "is for series, and the dataset holds images; expected layer",
        ),
        (["RandomVoice"], photos(), "is for sounds, and the dataset holds images; expected"),
    ],
)
def test_augmentation_that_does_not_suit_the_data_is_refused(
    names: list[str], data: Any, sentence: str
) -> None:
    from pipeline.training import compatibility

    layers = [{"class_name": name, "config": {}} for name in names]
    with pytest.raises(UserError, match=sentence):
        compatibility.check_input(train_params(augmentation=layers), data)


@pytest.mark.parametrize("degrees", [0, -1])
def test_a_turn_by_nothing_is_refused(degrees: float) -> None:
    from pipeline.training import augmentation

    turn = {"class_name": "RandomTurn", "config": {"degrees": degrees}}
    with pytest.raises(UserError, match=r"RandomTurn rejects its config: .* expected above 0"):
        augmentation.layers(train_params(augmentation=[turn]), (10, 6))
