"""Every technique of a network is a parameter, and each name in Keras trains a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.params import KerasObject, Network
from pipeline.datasets import Raw
from pipeline.process.errors import UserError
from tests.techniques.small_training import fit, step, train_params

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

LEAKY = {"class_name": "LeakyReLU", "config": {"negative_slope": 0.2}}


@pytest.mark.parametrize("architecture", ["mlp", "cnn", "edge", "resnet"])
def test_every_activation_trains_in_every_architecture(raw_mnist: Raw, architecture: str) -> None:
    hidden = [4, 4] if architecture == "cnn" else [4, 4, 4, 4]
    lists: list[list[Any]] = [
        ["relu", "linear", "sigmoid", "tanh"],
        ["softplus", "elu", "selu", "leaky_relu"],
        ["gelu", "silu", "mish", "PReLU"],
        [LEAKY, "ELU", "softsign", "relu6"],
        ["relu"],  # of the last layer
    ]
    for activations in lists:
        network = {"hidden": hidden, "activation": activations[: len(hidden)]}
        step(raw_mnist, train_params(architecture=architecture, network=network))


INITIALIZERS: list[Any] = [
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
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    {"class_name": "Constant", "config": {"value": 0.1}},
    {"class_name": "RandomNormal", "config": {"stddev": 1.0}},
    {
        "class_name": "VarianceScaling",
        "config": {"mode": "fan_avg", "distribution": "uniform", "scale": 2.0},
    },
]


def test_every_initializer_trains(raw_mnist: Raw) -> None:
    network = {"hidden": [4] * len(INITIALIZERS), "kernel_initializer": INITIALIZERS}
    step(raw_mnist, train_params(network=network))
    network = {"kernel_initializer": INITIALIZERS[2:6]}
    step(raw_mnist, train_params(architecture="edge", network=network))


def test_equal_weights_stay_equal_and_random_ones_do_not(raw_mnist: Raw) -> None:
    """The symmetry failure of lecture L1: hidden units that start equal learn the same.

    The output layer is random, so the units do differ by the gradient of the first step.
    """

    def kernel(initializer: Any) -> Any:
        network = {"hidden": [8], "kernel_initializer": initializer}
        return step(raw_mnist, train_params(network=network)).get_weights()[0]

    constant = kernel({"class_name": "Constant", "config": {"value": 0.01}})
    random = kernel("HeNormal")
    assert np.ptp(constant, axis=1).max() < 0.1 * np.ptp(random, axis=1).max()


@pytest.mark.parametrize(
    "name",
    ["L1", "L2", "L1L2", "OrthogonalRegularizer", {"class_name": "L2", "config": {"l2": 0.1}}],
)
def test_every_regularizer_adds_to_the_loss(raw_mnist: Raw, name: Any) -> None:
    model = step(
        raw_mnist, train_params(network={"hidden": [8, 8], "kernel_regularizer": [None, name]})
    )
    assert len(model.losses) == 1


def test_batch_normalization_is_where_params_put_it_and_drops_a_redundant_bias(
    raw_mnist: Raw,
) -> None:
    """The parameter counts that lecture L4 prints for its two networks of 300 and 100 units."""

    def count(**network: Any) -> int:
        train = train_params(network={"hidden": [300, 100], **network})
        return int(step(raw_mnist, train).count_params())

    assert count(input_normalization=True, normalization="after") == 271_346
    assert count(input_normalization=True, normalization="before") == 270_946
    assert count() == 266_610


def test_convolutions_are_separable_and_maps_end_as_params_say(raw_mnist: Raw) -> None:
    """Of the layers after the first, and the weights are those of a kernel and of a mix."""

    def count(architecture: str, **network: Any) -> int:
        train = train_params(architecture=architecture, network={"hidden": [8, 16], **network})
        return int(step(raw_mnist, train).count_params())

    for architecture, side in (("tiny", 11), ("edge", 11), ("cnn", 5)):
        full, separable = count(architecture), count(architecture, convolution="separable")
        of_depthwise = 8 * 9 + 4 * 8  # kernels, and batch normalization
        assert full - separable == 8 * 16 * 9 - (of_depthwise + 8 * 16)
        assert full - count(architecture, end="mean") == (side * side - 1) * 16 * 10
        assert count(architecture, convolution="full", end="flatten") == full


@pytest.mark.parametrize("layer", ["Dropout", "AlphaDropout", "GaussianDropout"])
def test_dropout_of_every_kind_on_input_and_hidden_layers(raw_mnist: Raw, layer: str) -> None:
    network: dict[str, Any] = {"hidden": [8, 8, 8], "dropout_layer": layer}
    everywhere = train_params(network={**network, "dropout": 0.5, "input_dropout": 0.1})
    layers = step(raw_mnist, everywhere).layers
    rates = [dropout.rate for dropout in layers if type(dropout).__name__ == layer]
    assert rates == [0.1, 0.5, 0.5, 0.5]
    late = step(raw_mnist, train_params(network={**network, "dropout": [0.5]}))
    assert type(late.layers[-2]).__name__ == layer


def test_drop_connect_is_only_in_training(raw_mnist: Raw, tmp_path: Path) -> None:
    trained = fit(
        raw_mnist, tmp_path, train_params(network={"hidden": [8, 8], "drop_connect": 0.5})
    )
    kinds = {type(layer).__name__ for layer in trained.model.layers}
    assert kinds == {"Rescaling", "Flatten", "Dense", "Activation"}
    with pytest.raises(UserError, match="drop_connect"):
        step(raw_mnist, train_params(architecture="edge", network={"drop_connect": 0.5}))


def test_the_architecture_chooses_the_values_that_are_null() -> None:
    leaky = KerasObject(class_name="LeakyReLU")
    network = Network(activation=leaky).over(Network(hidden=[8], dropout=0.5))
    assert network == Network(activation=leaky, hidden=[8], dropout=0.5)
