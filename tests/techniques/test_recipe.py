"""Every technique of a training is a parameter: each name in Keras works, others are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets import Raw
from pipeline.process.errors import UserError
from tests.interrupted import assert_same_weights, interrupted
from tests.techniques.small_training import PLATEAU, data, fit, step, train_params

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def names(module: str, base: str) -> list[str]:
    import keras

    from pipeline.training import keras_objects

    kinds = keras_objects.classes(getattr(keras, module), getattr(keras, base))
    return sorted({kind.__name__ for kind in kinds.values()})


ABSTRACT = {"LossScaleOptimizer", "MultiOptimizer"}  # they hold other optimizers


def test_every_optimizer_takes_a_step(raw_mnist: Raw) -> None:
    for name in set(names("optimizers", "Optimizer")) - ABSTRACT:
        step(raw_mnist, train_params(optimizer=name))


@pytest.mark.parametrize(
    "config",
    [
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"clipvalue": 0.5},
        {"clipnorm": 1.0},
        {"global_clipnorm": 1.0},
    ],
)
def test_momentum_and_clipping_are_in_the_optimizers_config(
    raw_mnist: Raw, config: dict[str, Any]
) -> None:
    model = step(raw_mnist, train_params(optimizer={"class_name": "SGD", "config": config}))
    assert config.items() <= model.optimizer.get_config().items()


def test_clipping_bounds_the_step(raw_mnist: Raw) -> None:
    from pipeline.training import models

    train = train_params(
        optimizer={"class_name": "SGD", "config": {"clipvalue": 1e-3}}, learning_rate=1.0
    )
    before = models.build(train, data(raw_mnist)).get_weights()
    after = step(raw_mnist, train).get_weights()
    largest = max(np.abs(new - old).max() for new, old in zip(after, before, strict=True))
    assert 0 < largest <= 1.001e-3


@pytest.mark.parametrize(
    "schedule",
    [
        {"class_name": "ExponentialDecay", "config": {"decay_steps": 4, "decay_rate": 0.5}},
        {"class_name": "InverseTimeDecay", "config": {"decay_steps": 4, "decay_rate": 1.0}},
        {"class_name": "PolynomialDecay", "config": {"decay_steps": 8}},
        {
            "class_name": "PiecewiseConstantDecay",
            "config": {"boundaries": [2], "values": [0.01, 0.001]},
        },
        {"class_name": "CosineDecayRestarts", "config": {"first_decay_steps": 9}},
        {"class_name": "CosineDecay", "config": {"decay_steps": 12}},
    ],
)
def test_every_schedule_of_keras_starts_at_the_rate_and_lowers_it(schedule: dict[str, Any]) -> None:
    from pipeline.training import schedules

    rate = schedules.learning_rate(train_params(schedule=schedule), 0.01, 12)
    assert float(rate(0)) == pytest.approx(0.01)
    assert float(rate(8)) < 0.008


@pytest.mark.parametrize(
    "loss",
    ["CategoricalCrossentropy", "BinaryCrossentropy", "MeanSquaredError", "Huber", "KLDivergence"],
)
def test_losses_for_one_hot_labels_get_them(raw_mnist: Raw, loss: str) -> None:
    step(raw_mnist, train_params(loss=loss))


@pytest.mark.parametrize("activation", ["relu", "selu"])  # of selu no layer is watched
def test_a_sigmoid_unit_with_binary_cross_entropy_gives_both_probabilities(
    raw_mnist: Raw, activation: str
) -> None:
    from pipeline.training.fit import layers_at_start

    network = {"hidden": [4], "output": "sigmoid", "activation": activation}
    train = train_params(loss="BinaryCrossentropy", network=network)
    model = step(raw_mnist, train, classes=2)
    assert layers_at_start(train, model, data(raw_mnist, classes=2))["gradient_ratio"] > 0
    probabilities = model.predict(raw_mnist.test_images[:20], verbose=0)
    assert probabilities.shape == (20, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    assert model.count_params() == 784 * 4 + 4 + 4 + 1
    with pytest.raises(UserError, match="2 classes, and the dataset has 10"):
        step(raw_mnist, train_params(network={"output": "sigmoid"}))


def test_metrics_are_in_the_learning_curves(raw_mnist: Raw, tmp_path: Path) -> None:
    from pipeline.training import learning_curves

    train = train_params(loss="CategoricalCrossentropy", metrics=["Precision", "AUC"], epochs=1)
    rows = fit(raw_mnist, tmp_path, train).rows
    assert {"train_precision", "validation_auc"} <= set(rows[0])
    learning_curves.save(tmp_path / "curves.csv", rows)
    (row,) = learning_curves.load(tmp_path / "curves.csv")
    assert row["validation_auc"] == rows[0]["validation_auc"]
    with pytest.raises(UserError, match="Precision takes labels of another form"):
        step(raw_mnist, train_params(loss="SparseCategoricalCrossentropy", metrics=["Precision"]))


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 64), ("full", 1)])
def test_batches_from_one_image_to_all(
    raw_mnist: Raw, tmp_path: Path, batch_size: Any, steps: int
) -> None:
    from pipeline.training.batches import ShuffledBatches

    digits = data(raw_mnist)
    size = digits.batch(batch_size)
    assert len(ShuffledBatches(digits, size, sparse=True, seed=0, epoch=0)) == steps
    assert len(fit(raw_mnist, tmp_path, train_params(batch_size=batch_size, epochs=1)).rows) == 1


def without_times(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    times = ("seconds", "images_per_second")
    return [{name: value for name, value in row.items() if name not in times} for row in rows]


DROPPED = {
    "hidden": [8, 8],
    "drop_connect": 0.3,
    "dropout": 0.2,
    "dropout_layer": "AlphaDropout",
    "activation": "selu",
}


@pytest.mark.attacks
@pytest.mark.parametrize(
    "values",
    [
        {
            "schedule": PLATEAU,
            "network": DROPPED,
            "patience": 3,
            "optimizer": "Nadam",
            "loss": "MeanSquaredError",
            "metrics": ["AUC"],
        },
    ],
)
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    raw_mnist: Raw, tmp_path: Path, values: dict[str, Any]
) -> None:
    train = train_params(**{"epochs": 4, **values})
    whole = fit(raw_mnist, tmp_path / "whole", train)
    resumed = interrupted(train, data(raw_mnist), tmp_path / "killed", 2)
    assert_same_weights(resumed.model, whole.model)
    assert without_times(resumed.rows) == without_times(whole.rows)
    if "schedule" in values:
        assert whole.rows[-1]["learning_rate"] < whole.rows[0]["learning_rate"]


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"optimizer": "Adamm"}, ["train.optimizer is 'Adamm'", "Adagrad, Adam, ", "RMSprop, SGD"]),
        (
            {"optimizer": {"class_name": "Adam", "config": {"beta_9": 1}}},
            ["Adam rejects its config", "beta_1", "clipnorm"],
        ),
        (
            {"loss": "Crossentropy"},
            ["train.loss is 'Crossentropy'", "BinaryCrossentropy", "SparseCategoricalCrossentropy"],
        ),
        ({"metrics": ["F2"]}, ["train.metrics[0] is 'F2'", "F1Score"]),
        (
            {"schedule": {"class_name": "Power"}},
            ["train.schedule is 'Power'", "InverseTimeDecay", "ReduceLROnPlateau"],
        ),
        (
            {"schedule": PLATEAU, "warmup": 0.1},
            ["train.warmup", "expected 0 with ReduceLROnPlateau"],
        ),
        (
            {"network": {"activation": "rely"}},
            ["train.network.activation is 'rely'", "relu, ", "PReLU"],
        ),
        (
            {"network": {"kernel_initializer": "Xavier"}},
            ["kernel_initializer is 'Xavier'", "GlorotNormal"],
        ),
        ({"network": {"kernel_regularizer": "L3"}}, ["kernel_regularizer is 'L3'", "L1, L1L2, L2"]),
        (
            {"network": {"dropout": 0.5, "dropout_layer": "Drop"}},
            ["dropout_layer is 'Drop'", "AlphaDropout"],
        ),
        (
            {"network": {"dropout": [0.1, 0.1, 0.1], "hidden": [8]}},
            ["dropout has 3 values for 1 hidden layers"],
        ),
    ],
)
def test_a_wrong_value_is_refused_with_the_expected_ones(
    raw_mnist: Raw, values: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        step(raw_mnist, train_params(**values))
    assert all(part in str(error.value) for part in parts), error.value
    assert "\n" not in str(error.value)
