"""Every technique is a parameter: each name that Keras has is built and trained one step, a wrong one is answered with the allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import params
from pipeline.config.params import KerasObject, Network, Train
from pipeline.datasets import Raw
from pipeline.process.errors import UserError
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

LEAKY = {"class_name": "LeakyReLU", "config": {"negative_slope": 0.2}}
FIXED = {
    "architecture": "mlp",
    "network": {"hidden": [8, 8]},
    "epochs": 3,
    "batch_size": 16,
    "optimizer": "SGD",
    "learning_rate": 0.01,
    "schedule": "constant",
    "warmup": 0.0,
    "augmentation": [],
    "steps_per_execution": 1,  # several steps take as many times as long to trace
}


def chosen(**values: Any) -> Train:
    """The recipe of params.yaml with the plainest of everything, and then `values`."""
    recipe = params.load(ROOT / "params.yaml").train.model_dump() | {
        "architecture": "mlp",
        "network": {"hidden": [8, 8]},
        **FIXED,
        "epochs": 3,
    }
    return Train.model_validate({**recipe, **values})


def data(raw: Raw, count: int = 64, classes: int = 10) -> Any:
    from pipeline.training.batches import Data

    rows = np.flatnonzero(raw.train_labels < classes)[: count + 32]
    images, labels = raw.train_images[rows], raw.train_labels[rows]
    return Data((images[:count], labels[:count]), (images[count:], labels[count:]), classes)


def step(raw: Raw, train: Train, classes: int = 10) -> Any:
    """The model after one batch, eagerly, because nothing is compiled for a single step; the loss must be a number."""
    from pipeline.training import fit
    from pipeline.training.batches import targets

    fed = data(raw, classes=classes)
    model = fit.build(train, fed)
    fit.compile_for(train, model, train.learning_rate, 10)
    model.run_eagerly = True
    labels = targets(fed.train[1], classes, fit.is_sparse(model.loss))
    loss = model.train_on_batch(fed.train[0], labels, return_dict=True)["loss"]
    assert np.isfinite(loss)
    return model


def fit(
    raw: Raw, folder: Path, train: Train, on_row: Any = lambda row: None, classes: int = 10
) -> Any:
    from pipeline.training import fit

    return fit.fit(train, data(raw, classes=classes), folder, on_row)


def names(module: str, base: str) -> list[str]:
    import keras

    from pipeline.training import keras_objects

    found = keras_objects.classes(getattr(keras, module), getattr(keras, base))
    return sorted({one.__name__ for one in found.values()})


ABSTRACT = {"LossScaleOptimizer", "MultiOptimizer"}  # they hold other optimizers


@pytest.mark.parametrize("architecture", ["mlp", "cnn", "edge"])
def test_every_activation_trains_in_every_architecture(raw_mnist: Raw, architecture: str) -> None:
    lists: list[list[Any]] = [
        ["relu", "linear", "sigmoid", "tanh"],
        ["softplus", "elu", "selu", "leaky_relu"],
    ]
    lists += [
        ["gelu", "silu", "mish", "PReLU"],
        [LEAKY, "ELU", "softsign", "relu6"],
    ]
    for activations in lists:
        network = {
            "hidden": [4, 4, 4, 4] if architecture != "cnn" else [4, 4],
            "activation": activations,
        }
        network["activation"] = activations[: len(network["hidden"])]
        step(raw_mnist, chosen(architecture=architecture, network=network))


def test_every_optimizer_takes_a_step(raw_mnist: Raw) -> None:
    for name in set(names("optimizers", "Optimizer")) - ABSTRACT:
        step(raw_mnist, chosen(optimizer=name))


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
    model = step(raw_mnist, chosen(optimizer={"class_name": "SGD", "config": config}))
    assert config.items() <= model.optimizer.get_config().items()


def test_clipping_bounds_the_step(raw_mnist: Raw) -> None:
    from pipeline.training import fit

    train = chosen(
        optimizer={"class_name": "SGD", "config": {"clipvalue": 1e-3}}, learning_rate=1.0
    )
    before = fit.build(train, data(raw_mnist)).get_weights()
    after = step(raw_mnist, train).get_weights()
    assert (
        0 < max(np.abs(new - old).max() for new, old in zip(after, before, strict=True)) <= 1.001e-3
    )


INITIALIZERS: list[Any] = [
    *[
        "Zeros",
        "Ones",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "LecunNormal",
        "LecunUniform",
        "Orthogonal",
        "he_normal",
    ],
    *[
        "RandomNormal",
        "RandomUniform",
        "TruncatedNormal",
        "VarianceScaling",
        {"class_name": "Constant", "config": {"value": 0.1}},
    ],
    {"class_name": "RandomNormal", "config": {"stddev": 1.0}},
    {
        "class_name": "VarianceScaling",
        "config": {"mode": "fan_avg", "distribution": "uniform", "scale": 2.0},
    },
]


def test_every_initializer_trains(raw_mnist: Raw) -> None:
    step(
        raw_mnist,
        chosen(network={"hidden": [4] * len(INITIALIZERS), "kernel_initializer": INITIALIZERS}),
    )
    step(raw_mnist, chosen(architecture="edge", network={"kernel_initializer": INITIALIZERS[2:6]}))


def test_equal_weights_stay_equal_and_random_ones_do_not(raw_mnist: Raw) -> None:
    """The symmetry failure of L1: hidden units that start equal learn the same."""
    constant = {"class_name": "Constant", "config": {"value": 0.01}}
    kernel = step(
        raw_mnist, chosen(network={"hidden": [8], "kernel_initializer": constant})
    ).get_weights()[0]
    # the output layer is random, so the units part by the first step's gradient alone where activations are the same
    both = step(
        raw_mnist, chosen(network={"hidden": [8], "kernel_initializer": "HeNormal"})
    ).get_weights()[0]
    assert np.ptp(kernel, axis=1).max() < 0.1 * np.ptp(both, axis=1).max()


@pytest.mark.parametrize(
    "name",
    ["L1", "L2", "L1L2", "OrthogonalRegularizer", {"class_name": "L2", "config": {"l2": 0.1}}],
)
def test_every_regularizer_adds_to_the_loss(raw_mnist: Raw, name: Any) -> None:
    model = step(raw_mnist, chosen(network={"hidden": [8, 8], "kernel_regularizer": [None, name]}))
    assert len(model.losses) == 1


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

    rate = schedules.learning_rate(chosen(schedule=schedule), 0.01, 12)
    assert float(rate(0)) == pytest.approx(0.01)
    assert float(rate(8)) < 0.008


@pytest.mark.parametrize(
    "loss",
    ["CategoricalCrossentropy", "BinaryCrossentropy", "MeanSquaredError", "Huber", "KLDivergence"],
)
def test_losses_that_want_one_hot_labels_get_them(raw_mnist: Raw, loss: str) -> None:
    step(raw_mnist, chosen(loss=loss))


def test_a_sigmoid_unit_with_binary_cross_entropy_gives_both_probabilities(raw_mnist: Raw) -> None:
    model = step(
        raw_mnist,
        chosen(loss="BinaryCrossentropy", network={"hidden": [4], "output": "sigmoid"}),
        classes=2,
    )
    probabilities = model.predict(raw_mnist.test_images[:20], verbose=0)
    assert probabilities.shape == (20, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    assert model.count_params() == 784 * 4 + 4 + 4 + 1
    with pytest.raises(UserError, match="2 classes, and the dataset has 10"):
        step(raw_mnist, chosen(network={"output": "sigmoid"}))


def test_batch_normalization_stands_where_it_is_asked_and_drops_a_redundant_bias(
    raw_mnist: Raw,
) -> None:
    """The parameter counts that L4 prints for its two networks of 300 and 100 units."""
    common = {"hidden": [300, 100], "input_normalization": True}
    assert (
        step(raw_mnist, chosen(network={**common, "normalization": "after"})).count_params()
        == 271_346
    )
    assert (
        step(raw_mnist, chosen(network={**common, "normalization": "before"})).count_params()
        == 270_946
    )
    assert step(raw_mnist, chosen(network={"hidden": [300, 100]})).count_params() == 266_610


@pytest.mark.parametrize("layer", ["Dropout", "AlphaDropout", "GaussianDropout"])
def test_dropout_of_every_kind_on_input_and_hidden_layers(raw_mnist: Raw, layer: str) -> None:
    model = step(
        raw_mnist,
        chosen(
            network={
                "hidden": [8, 8, 8],
                "dropout": 0.5,
                "input_dropout": 0.1,
                "dropout_layer": layer,
            }
        ),
    )
    assert [one.rate for one in model.layers if type(one).__name__ == layer] == [0.1, 0.5, 0.5, 0.5]
    late = step(
        raw_mnist, chosen(network={"hidden": [8, 8, 8], "dropout": [0.5], "dropout_layer": layer})
    )
    assert type(late.layers[-2]).__name__ == layer


def test_drop_connect_is_in_training_alone(raw_mnist: Raw, tmp_path: Path) -> None:
    trained = fit(raw_mnist, tmp_path, chosen(network={"hidden": [8, 8], "drop_connect": 0.5}))
    assert {type(layer).__name__ for layer in trained.model.layers} == {
        "Rescaling",
        "Flatten",
        "Dense",
        "Activation",
    }
    with pytest.raises(UserError, match="drop_connect"):
        step(raw_mnist, chosen(architecture="edge", network={"drop_connect": 0.5}))


def test_metrics_stand_in_the_learning_curves(raw_mnist: Raw, tmp_path: Path) -> None:
    from pipeline.training import learning_curves

    rows = fit(
        raw_mnist,
        tmp_path,
        chosen(loss="CategoricalCrossentropy", metrics=["Precision", "AUC"], epochs=1),
    ).rows
    assert {"train_precision", "validation_auc"} <= set(rows[0])
    learning_curves.save(tmp_path / "curves.csv", rows)
    assert (
        learning_curves.load(tmp_path / "curves.csv")[0]["validation_auc"]
        == rows[0]["validation_auc"]
    )
    with pytest.raises(UserError, match="Precision takes other labels"):
        step(raw_mnist, chosen(loss="SparseCategoricalCrossentropy", metrics=["Precision"]))


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 64), ("full", 1)])
def test_batches_from_one_image_to_all(
    raw_mnist: Raw, tmp_path: Path, batch_size: Any, steps: int
) -> None:
    from pipeline.training.batches import ShuffledBatches

    fed = data(raw_mnist)
    assert len(ShuffledBatches(fed, fed.batch(batch_size), sparse=True, seed=0, epoch=0)) == steps
    assert len(fit(raw_mnist, tmp_path, chosen(batch_size=batch_size, epochs=1)).rows) == 1


class KilledError(Exception):
    pass


PLATEAU = {
    "class_name": "ReduceLROnPlateau",
    "config": {"factor": 0.5, "patience": 1, "min_delta": 0.5},
}
DROPPED = {
    "hidden": [8, 8],
    "drop_connect": 0.3,
    "dropout": 0.2,
    "dropout_layer": "AlphaDropout",
    "activation": "selu",
}


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
    train = chosen(**{"epochs": 4, **values})

    def kill(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KilledError

    whole = fit(raw_mnist, tmp_path / "whole", train)
    with pytest.raises(KilledError):
        fit(raw_mnist, tmp_path / "killed", train, kill)
    resumed = fit(raw_mnist, tmp_path / "killed", train)
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    figures = [name for name in whole.rows[0] if name not in ("seconds", "images_per_second")]
    assert [[row[name] for name in figures] for row in whole.rows] == [
        [row[name] for name in figures] for row in resumed.rows
    ]
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
def test_a_wrong_name_is_answered_with_the_allowed_ones(
    raw_mnist: Raw, values: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        step(raw_mnist, chosen(**values))
    assert all(part in str(error.value) for part in parts), error.value
    assert "\n" not in str(error.value)


def test_what_params_leave_open_is_the_architectures_own() -> None:
    leaky = KerasObject(class_name="LeakyReLU")
    assert Network(activation=leaky).over(Network(hidden=[8], dropout=0.5)) == Network(
        activation=leaky, hidden=[8], dropout=0.5
    )
