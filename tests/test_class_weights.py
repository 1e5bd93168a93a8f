"""Class weights: every class counts the same in the loss, however few examples it has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.utils import class_weight

from pipeline.config import params
from pipeline.config.params import KerasObject, Network, Train
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pipeline.training.batches import Data

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

MIXUP = [KerasObject(class_name="MixUp", config={"alpha": 0.2})]
LABELS = np.array([0] * 6 + [1] * 3 + [3])  # class 2 has no example


def train_params(**values: object) -> Train:
    small = {
        "architecture": "mlp",
        "network": Network(hidden=[8], output="sigmoid", input_normalization=True),
        "augmentation": MIXUP,
        "class_weights": "balanced",
        "epochs": 6,
        "batch_size": 32,
        "loss": "CategoricalCrossentropy",
        "optimizer": "Adam",
        "keep": "last",
    }
    return params.load(ROOT / "params.yaml").train.model_copy(update={**small, **values})


def bright_and_dark() -> Data:
    """1 of 20 images is of class 1, which is brighter, though many of class 0 are as bright."""
    from pipeline.training.batches import Data

    rng = np.random.default_rng(0)
    labels = (np.arange(1200) % 20 == 0).astype(np.int64)
    brightness = rng.normal(120 + 30 * labels, 20)
    images = np.clip(rng.normal(brightness[:, None, None, None], 5, (1200, 4, 4, 1)), 0, 255)
    pixels = images.astype(np.uint8)
    return Data((pixels[:600], labels[:600]), (pixels[600:], labels[600:]), 2)


def test_the_weights_are_those_of_scikit_learn() -> None:
    from pipeline.training.batches import balanced_weights, example_weights

    weights = balanced_weights(LABELS, 4)
    expected = class_weight.compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=LABELS)
    np.testing.assert_allclose(weights[[0, 1, 3]], expected, rtol=1e-6)
    assert weights[2] == 1
    of_examples = class_weight.compute_sample_weight("balanced", LABELS)
    one_hot = np.eye(4, dtype=np.float32)[LABELS]
    for targets in (LABELS.astype(np.int32), one_hot):
        np.testing.assert_allclose(example_weights(targets, weights), of_examples, rtol=1e-6)
    assert example_weights(one_hot, weights).mean() == pytest.approx(1)


def test_an_image_mixed_of_two_classes_has_the_mix_of_their_weights() -> None:
    from pipeline.training import augmentation
    from pipeline.training.batches import ShuffledBatches

    batches = ShuffledBatches(bright_and_dark(), 40, False, 0, 0)
    batches.mixing = augmentation.mixing(train_params(), (4, 4, 1), False)
    without = batches[0]
    assert len(without) == 2
    batches.class_weights = np.array([0.5, 10], np.float32)
    _, labels, weights = batches[0]
    mixed = labels[:, 1]
    assert ((mixed > 0) & (mixed < 1)).any()
    np.testing.assert_allclose(weights, 0.5 * (1 - mixed) + 10 * mixed, rtol=1e-5)


def test_several_labels_at_once_have_no_class_weights() -> None:
    from pipeline.training import fit
    from pipeline.training.batches import Data

    split = np.zeros((4, 2, 2, 1), np.uint8), np.eye(4, dtype=np.int64)
    several = Data(split, split, 4, target="labels")
    with pytest.raises(UserError, match=r"train\.class_weights is balanced, which is for one"):
        fit.weighted(train_params(), several)
    assert fit.weighted(train_params(class_weights=None), several) is several


def recall(model: object, images: Array, labels: Array) -> float:
    from pipeline.training import keras_files

    answers = keras_files.probabilities(model, images).argmax(1)
    return float((answers[labels == 1] == 1).mean())


def test_weights_let_a_rare_class_be_recognized_and_validation_is_weighted_too(
    tmp_path: Path,
) -> None:
    """With one sigmoid unit, and with mixed images."""
    from pipeline.training import fit, keras_files
    from pipeline.training.batches import balanced_weights, example_weights

    data = bright_and_dark()
    images, labels = data.validation
    plain, weighted = (
        fit.fit(train_params(**values), data, tmp_path / name, lambda row: None)
        for name, values in {"plain": {"class_weights": None}, "weighted": {}}.items()
    )
    assert recall(plain.model, images, labels) < 0.4
    assert recall(weighted.model, images, labels) > 0.6
    probabilities = keras_files.probabilities(weighted.model, images)
    losses = -np.log(probabilities[np.arange(len(labels)), labels])
    weights = example_weights(labels, balanced_weights(data.train[1], 2))
    expected = (losses * weights).mean()
    assert weighted.rows[-1]["validation_loss"] == pytest.approx(expected, rel=1e-3)


LOSSES = (
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "KLDivergence",
    "MeanSquaredError",
    "CategoricalHinge",
)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_the_weights(loss: str, tmp_path: Path) -> None:
    from pipeline.training import fit, keras_objects
    from pipeline.training.batches import balanced_weights, targets

    data = bright_and_dark()
    settings = train_params(loss=loss, epochs=1, augmentation=[], learning_rate=0.001)
    trained = fit.fit(settings, data, tmp_path, lambda row: None)
    images, labels = data.validation
    each = keras_objects.loss(loss)
    each.reduction = None
    expected = targets(labels, 2, loss.startswith("Sparse"))
    losses = np.asarray(each(expected, trained.model.predict(images, verbose=0)))
    weights = balanced_weights(data.train[1], 2)[labels]
    assert trained.rows[0]["validation_loss"] == pytest.approx((weights * losses).mean(), rel=1e-3)


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1"])
@pytest.mark.parametrize("loss", ["CategoricalCrossentropy", "SparseCategoricalCrossentropy"])
def test_the_weights_that_are_best_by_the_metric_are_those_of_the_model(
    name: str, loss: str, tmp_path: Path
) -> None:
    from pipeline.training import fit
    from serving.metric import METRICS

    data = bright_and_dark()
    settings = train_params(keep=f"validation_{name}", loss=loss, augmentation=[])
    trained = fit.fit(settings, data, tmp_path, lambda row: None)
    values = [row[f"validation_{name}"] for row in trained.rows]
    images, labels = data.validation
    answers = trained.model.predict(images, verbose=0).argmax(1)
    assert METRICS[name].value(answers, labels, 2) == pytest.approx(max(values), abs=1e-6)
    assert trained.best == 1 + int(np.argmax(values))


def test_only_one_class_of_several_is_kept_by_a_metric_of_classes() -> None:
    from dataclasses import replace

    from pipeline.training import compatibility

    data = replace(bright_and_dark(), target="labels")
    settings = train_params(
        keep="validation_macro_f1", loss="BinaryCrossentropy", network=Network(output="sigmoids")
    )
    with pytest.raises(
        UserError, match=r"train\.keep is validation_macro_f1, which is for one clas"
    ):
        compatibility.output(settings, data)
