"""Features of frozen layers: computed once for each image, the same weights, and resumable."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.params import Train
from pipeline.datasets import Raw
from pipeline.files import artifacts
from tests.interrupted import assert_same_weights, interrupted
from tests.techniques.small_training import data, fit, train_params

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.filterwarnings("ignore")]

NETWORK = {"hidden": [4, 4, 4, 4]}
# It changes no image, but the pipeline cannot know that.
NOTHING = [{"class_name": "RandomBrightness", "config": {"factor": 0.0}}]


@pytest.fixture(scope="module")
def digits(raw_mnist: Raw, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the ten digits, to start from."""
    from pipeline.training import keras_files

    path = tmp_path_factory.mktemp("start") / "digits.keras"
    train = train_params(architecture="edge", network=NETWORK, epochs=1)
    keras_files.save(path, fit(raw_mnist, path.parent / "state", train).model)
    return path


@pytest.fixture
def starting(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Params that start from that model, in an empty checkout."""
    monkeypatch.chdir(tmp_path)

    def make(**values: Any) -> Train:
        start = {"architecture": "edge", "network": NETWORK, "start_from": str(digits)}
        return train_params(**{**start, "freeze": "all", "optimizer": "Adam", **values})

    return make


def parts(folder: Path) -> list[Path]:
    return sorted((folder / ".state/features").rglob("*.npy"))


def test_features_give_the_weights_of_a_training_without_them(
    raw_mnist: Raw, tmp_path: Path, starting: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    network = {**NETWORK, "dropout": [0.2]}
    cached = fit(raw_mnist, tmp_path / "cached", starting(network=network))
    assert len(parts(tmp_path)) == 2  # of the training set and the validation set
    assert "computing the features of 64 images, once" in capsys.readouterr().out
    plain = fit(raw_mnist, tmp_path / "plain", starting(network=network, augmentation=NOTHING))
    assert len(parts(tmp_path)) == 2
    assert "computed in every epoch" in capsys.readouterr().out
    for actual, expected in zip(cached.model.weights, plain.model.weights, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    for name in ("train_loss", "validation_loss"):
        actual, expected = ([row[name] for row in trained.rows] for trained in (cached, plain))
        np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_pictures_of_no_class_have_features_too_and_change_no_weight_by_them(
    raw_mnist: Raw, tmp_path: Path, starting: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.training import fit as training

    with_others = replace(data(raw_mnist), others=255 - raw_mnist.train_images[200:220])

    def trained(name: str, **values: Any) -> Any:
        network = {**NETWORK, "dropout": [0.2]}
        settings = starting(network=network, **values)
        return training.fit(settings, with_others, tmp_path / name, lambda row: None)

    cached = trained("cached")
    assert "computing the features of 20 images, once" in capsys.readouterr().out
    plain = trained("plain", augmentation=NOTHING)
    without = fit(raw_mnist, tmp_path / "without", starting(network={**NETWORK, "dropout": [0.2]}))
    for actual, expected in zip(cached.model.weights, plain.model.weights, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(cached.model.weights[-2] - without.model.weights[-2]).max() > 1e-3
    trained("made-up", outliers=0.1)
    assert "train.outliers changes the images in every epoch" in capsys.readouterr().out


def test_another_split_reuses_the_features_of_its_images_and_ends_in_the_same_weights(
    raw_mnist: Raw, tmp_path: Path, starting: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.training import fit as training
    from pipeline.training.batches import Data

    images, labels = raw_mnist.train_images[:90], raw_mnist.train_labels[:90]

    def trained(name: str, order: Any) -> Any:
        train, validation = order[:60], order[60:]
        parts = (images[train], labels[train]), (images[validation], labels[validation])
        return training.fit(starting(epochs=1), Data(*parts, 10), tmp_path / name, lambda row: None)

    shuffled = np.random.default_rng(0).permutation(90)
    trained("first", np.arange(80))
    capsys.readouterr()
    reusing = trained("reusing", shuffled)
    counts = re.findall(r"the features of (\d+) images", capsys.readouterr().out)
    assert sum(map(int, counts)) == 10
    shutil.rmtree(tmp_path / ".state/features")
    anew = trained("anew", shuffled)
    assert "computing the features of 60 images, once" in capsys.readouterr().out
    assert reusing.rows[-1]["validation_loss"] == anew.rows[-1]["validation_loss"]
    assert_same_weights(reusing.model, anew.model)


def test_layers_with_the_same_weights_and_another_activation_have_features_of_their_own(
    raw_mnist: Raw, tmp_path: Path, starting: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(raw_mnist, tmp_path / "first", starting(epochs=1))
    capsys.readouterr()
    other = {**NETWORK, "activation": "tanh"}
    fit(raw_mnist, tmp_path / "second", starting(epochs=1, network=other))
    assert "computing the features of 64 images, once" in capsys.readouterr().out


def test_an_interrupted_computation_goes_on_with_the_images_that_are_missing(
    raw_mnist: Raw, tmp_path: Path, starting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.training import features

    monkeypatch.setattr(features, "PART", 16)
    whole = fit(raw_mnist, tmp_path / "whole", starting())
    before = {path: path.read_bytes() for path in parts(tmp_path)}
    assert len(before) == 6  # 64 and 32 images
    missing, cut, old, *intact = before
    missing.unlink()
    cut.write_bytes(before[cut][:200])
    artifacts.save_array(old, np.zeros((16, 4), np.float32))  # as parts once were
    untouched = {path: path.stat().st_mtime_ns for path in intact}
    resumed = fit(raw_mnist, tmp_path / "resumed", starting())
    assert {path: path.stat().st_mtime_ns for path in intact} == untouched
    assert_same_weights(resumed.model, whole.model)


def test_a_training_killed_on_features_or_after_thawing_ends_as_an_uninterrupted_one(
    raw_mnist: Raw, tmp_path: Path, starting: Any
) -> None:
    thaw = [{"after": 2, "freeze": 1, "learning_rate": 0.001}]
    train = starting(thaw=thaw, epochs=4, network={**NETWORK, "dropout": [0.2]}, keep="last")
    whole = fit(raw_mnist, tmp_path / "whole", train)
    resumed = interrupted(train, data(raw_mnist), tmp_path / "killed", 1, 2, 3)
    assert_same_weights(resumed.model, whole.model)
    assert resumed.rows[-1]["validation_loss"] == whole.rows[-1]["validation_loss"]


def test_the_best_epoch_may_be_one_on_features_although_thawing_changed_all_layers(
    raw_mnist: Raw, tmp_path: Path, digits: Path, starting: Any
) -> None:
    from pipeline.training import keras_files

    thaw = [{"after": 2, "freeze": 0, "learning_rate": 10.0}]
    trained = fit(raw_mnist, tmp_path / "state", starting(thaw=thaw, epochs=4))
    assert trained.best <= 2
    start = keras_files.load(digits)
    for actual, expected in zip(trained.model.weights[:-2], start.weights[:-2], strict=True):
        np.testing.assert_array_equal(actual, expected)
    images, labels = data(raw_mnist).validation
    accuracy = (keras_files.probabilities(trained.model, images).argmax(1) == labels).mean()
    assert accuracy == pytest.approx(trained.rows[trained.best - 1]["validation_accuracy"])


def test_features_larger_than_the_image_are_not_kept(
    raw_mnist: Raw, tmp_path: Path, starting: Any
) -> None:
    fit(raw_mnist, tmp_path / "state", starting(freeze=1, epochs=1, network=NETWORK))
    sizes = {artifacts.load_array(path).shape[1:] for path in parts(tmp_path)}
    assert all(np.prod(shape) <= 28 * 28 for shape in sizes)


def test_features_are_found_by_image_in_any_order(tmp_path: Path) -> None:
    from pipeline.training.feature_store import Store

    store = Store(tmp_path, (3,), "float32")
    images = np.array([7, 5, 2**64 - 1, 5, 9], np.uint64)
    assert store.missing(images).tolist() == [0, 1, 2, 4]
    store.add(images[:2], np.array([[7.0] * 3, [5.0] * 3]))
    assert store.missing(images).tolist() == [2, 4]
    store.add(images[[4, 2]], np.array([[9.0] * 3, [1.0] * 3]))
    stored = store.find(images)
    assert stored.shape == (5, 3)
    np.testing.assert_array_equal(stored[np.array([4, 0, 1, 3, 2])][:, 0], [9, 7, 5, 5, 1])
    assert not len(Store(tmp_path, (4,), "float32")._parts())


def test_two_trainings_at_once_compute_the_features_of_an_image_once(
    raw_mnist: Raw, tmp_path: Path, starting: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.training import features, models, transfer

    digits, train = data(raw_mnist), starting()
    model = models.build(train, digits)
    transfer.take(train, model, models.start(train, digits))
    transfer.freeze(train, model, 4)
    divided = features.divide(model, digits.inputs.shape)
    assert divided
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: divided.data(digits), range(2)))
    assert capsys.readouterr().out.count("computing") == 2  # training and validation
    rows = np.arange(64)
    np.testing.assert_array_equal(both[0].train[0][rows], both[1].train[0][rows])
