"""Training: the schedule, the kept epoch, and the model that comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.config import params
from pipeline.datasets import Raw
from pipeline.process.errors import UserError
from pipeline.training.learning_curves import best_epoch

if TYPE_CHECKING:
    pass
from tests.training.conftest import fit, train_params

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def test_the_kept_weights_are_those_of_the_best_epoch(raw_mnist: Raw, tmp_path: Path) -> None:
    train = train_params(learning_rate=0.05, schedule="constant", epochs=4)
    weights, rows = fit(raw_mnist, tmp_path / "all", train)
    best = best_epoch(rows, "validation_loss")
    assert rows[best - 1]["validation_loss"] == min(row["validation_loss"] for row in rows)
    shorter = train.model_copy(update={"epochs": best, "keep": "last"})
    until_best, _ = fit(raw_mnist, tmp_path / "best", shorter)
    np.testing.assert_array_equal(weights, until_best)


def test_patience_ends_a_training_that_no_longer_improves(raw_mnist: Raw, tmp_path: Path) -> None:
    _, rows = fit(
        raw_mnist,
        tmp_path,
        train_params(learning_rate=1.0, schedule="constant", warmup=0.0, epochs=20, patience=2),
    )
    assert len(rows) < 20


def test_the_rate_rises_and_then_falls_to_zero(raw_mnist: Raw, tmp_path: Path) -> None:
    _, rows = fit(raw_mnist, tmp_path, train_params(warmup=0.34, epochs=3, learning_rate=0.006))
    rates = [row["learning_rate"] for row in rows]
    assert rates[0] == pytest.approx(0.006, rel=0.05)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_mixed_precision_ends_in_a_float32_model(raw_mnist: Raw, tmp_path: Path) -> None:
    weights, _ = fit(raw_mnist, tmp_path, train_params(precision="mixed_bfloat16", epochs=1))
    assert weights.dtype == np.float32


def test_a_wrong_optimizer_is_answered_in_one_sentence(raw_mnist: Raw, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train.optimizer is 'Adamm'"):
        fit(raw_mnist, tmp_path, train_params(optimizer=params.KerasObject(class_name="Adamm")))
    with pytest.raises(UserError, match=r"train.optimizer: Adam rejects its config"):
        fit(
            raw_mnist,
            tmp_path,
            train_params(optimizer=params.KerasObject(class_name="Adam", config={"beta_9": 1})),
        )


def test_averages_are_validated_and_kept_while_training_continues_without_them(
    raw_mnist: Raw, tmp_path: Path
) -> None:
    """Training losses equal those without averages; weights and validation losses differ."""
    plain = train_params(
        schedule="constant", epochs=3, learning_rate=0.003, keep="last", optimizer="Adam"
    )
    averages = params.KerasObject(class_name="Adam", config={"use_ema": True, "ema_momentum": 0.9})
    weights, rows = fit(raw_mnist, tmp_path / "plain", plain)
    averaged, averaged_rows = fit(
        raw_mnist, tmp_path / "averaged", plain.model_copy(update={"optimizer": averages})
    )
    assert [row["train_loss"] for row in averaged_rows] == [row["train_loss"] for row in rows]
    assert not np.array_equal(averaged, weights)
    assert averaged_rows[-1]["validation_loss"] != rows[-1]["validation_loss"]


def test_fused_batch_normalization_equals_that_of_keras(raw_mnist: Raw) -> None:
    """Compares outputs, gradients and moving averages on feature maps of real digits."""
    import keras
    import tensorflow as tf

    from pipeline.training.batch_normalization import FusedBatchNormalization

    images = tf.constant(raw_mnist.train_images[:64].astype("float32") / 255)
    initializer = keras.initializers.GlorotUniform(seed=1)
    maps = tf.nn.relu(keras.layers.Conv2D(8, 3, kernel_initializer=initializer)(images))
    weights = tf.random.stateless_normal(maps.shape, seed=(1, 2))
    results = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(momentum=0.9)
        layer.build(maps.shape)
        layer.gamma.assign(tf.linspace(0.5, 2.0, 8))
        layer.beta.assign(tf.linspace(-1.0, 1.0, 8))
        with tf.GradientTape() as tape:
            tape.watch(maps)
            outputs = layer(maps, training=True)
            total = tf.reduce_sum(outputs * weights)
        gradients = tape.gradient(total, [maps, layer.gamma.value, layer.beta.value])
        moving = [layer.moving_mean.value, layer.moving_variance.value]
        results.append([outputs, *gradients, *moving, layer(maps, training=False)])
    for expected, actual in zip(*results, strict=True):
        # a sum near zero of large terms is as exact as the terms are
        largest = np.abs(expected).max()
        np.testing.assert_allclose(expected, actual, rtol=2e-4, atol=1e-5 * max(20, largest))


def test_a_trained_model_consists_of_keras_layers_alone(raw_mnist: Raw, tmp_path: Path) -> None:
    """Our layers for dropped connections and batch normalization are replaced after training."""
    from pipeline.training import fit as fitting
    from pipeline.training.batches import Data

    network = params.Network(hidden=[8, 8], normalization="before", drop_connect=0.3)
    data = Data(
        (raw_mnist.train_images[:500], raw_mnist.train_labels[:500]),
        (raw_mnist.train_images[:100], raw_mnist.train_labels[:100]),
        10,
    )
    trained = fitting.fit(train_params(network=network, epochs=1), data, tmp_path, lambda row: None)
    assert {type(layer).__module__.split(".")[0] for layer in trained.model.layers} == {"keras"}
