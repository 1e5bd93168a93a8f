"""Transfer learning: layers of a model trained on five digits, in a model for all ten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets import Raw
from pipeline.process.errors import UserError
from tests.interrupted import assert_same_weights, interrupted
from tests.techniques.small_training import data, fit, train_params

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.filterwarnings("ignore")]

NETWORK = {"hidden": [8, 6], "normalization": "before"}


@pytest.fixture(scope="module")
def five_digits(raw_mnist: Raw, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the digits 0 to 4."""
    from pipeline.training import keras_files

    path = tmp_path_factory.mktemp("start") / "five.keras"
    train = train_params(network=NETWORK, epochs=2)
    keras_files.save(path, fit(raw_mnist, path.parent / "state", train, classes=5).model)
    return path


def weights(model: Any) -> list[list[np.ndarray]]:
    """The weights of each layer, as transfer learning counts layers."""
    from pipeline.training import transfer

    return [
        [weight for layer in group for weight in layer.get_weights()]
        for group in transfer.layers(model)
    ]


def equal(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return len(left) == len(right) and all(map(np.array_equal, left, right))


def unchanged(model: Any, start: list[list[np.ndarray]]) -> list[bool]:
    """For each of the two hidden layers, whether its weights are those in `start`."""
    return [equal(weights(model)[layer], start[layer]) for layer in range(2)]


def starting(five_digits: Path, **values: Any) -> Any:
    return train_params(
        **{"network": NETWORK, "start_from": str(five_digits), "optimizer": "Adam", **values}
    )


def test_hidden_layers_are_copied_and_the_output_layer_is_new(
    raw_mnist: Raw, five_digits: Path
) -> None:
    from pipeline.training import keras_files, models, transfer

    old, new = keras_files.load(five_digits), models.build(starting(five_digits), data(raw_mnist))
    assert transfer.take(starting(five_digits), new, old) == 2
    assert unchanged(new, weights(old)) == [True, True]
    assert [weight.shape for weight in weights(new)[2]] == [(6, 10), (10,)]


def test_frozen_layers_keep_their_weights_and_thaw_at_the_given_epoch_and_rate(
    raw_mnist: Raw, five_digits: Path, tmp_path: Path
) -> None:
    from pipeline.training import keras_files

    start = weights(keras_files.load(five_digits))
    thaw = [
        {"after": 2, "freeze": 1, "learning_rate": 0.0005},
        {"after": 3, "freeze": 0, "learning_rate": 0.0001},
    ]
    shorter = starting(five_digits, freeze="all", thaw=thaw[:1], epochs=3, keep="last")
    assert unchanged(fit(raw_mnist, tmp_path / "shorter", shorter).model, start) == [True, False]
    train = starting(five_digits, freeze="all", thaw=thaw, epochs=4, keep="last")
    whole = fit(raw_mnist, tmp_path / "whole", train)
    assert not equal(weights(whole.model)[0], start[0])
    assert [row["learning_rate"] for row in whole.rows] == pytest.approx(
        [0.01, 0.01, 0.0005, 0.0001]
    )


def test_runs_interrupted_at_and_after_thawing_end_as_an_uninterrupted_one(
    raw_mnist: Raw, five_digits: Path, tmp_path: Path
) -> None:
    train = starting(
        five_digits, freeze=1, thaw=[{"after": 1, "freeze": 0, "learning_rate": 0.001}], epochs=3
    )
    resumed = interrupted(train, data(raw_mnist), tmp_path / "killed", 1, 2)
    whole = fit(raw_mnist, tmp_path / "whole", train)
    assert_same_weights(resumed.model, whole.model)
    losses = [[row["validation_loss"] for row in trained.rows] for trained in (resumed, whole)]
    assert losses[0] == losses[1]


def test_copying_all_layers_continues_the_earlier_training(
    raw_mnist: Raw, five_digits: Path, tmp_path: Path
) -> None:
    from pipeline.training import keras_files

    train = starting(five_digits, start_layers="all", learning_rate=1e-12, epochs=1)
    continued = fit(raw_mnist, tmp_path, train, classes=5).model
    start = keras_files.load(five_digits)
    for actual, expected in zip(continued.trainable_weights, start.trainable_weights, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"network": {"hidden": [8, 7], "normalization": "before"}},
            "layer 2 of .* has weights .* or train.start_layers to 1",
        ),
        (
            {"start_layers": 4},
            "train.start_layers is 4; .* has 3 layers and the new model 3; expected 1 to 3",
        ),
        (
            {"freeze": 3},
            "3 layers are to be frozen, and train.start_from provides 2; expected 0 to 2",
        ),
        (
            {"thaw": [{"after": 3, "freeze": 0, "learning_rate": 0.1}]},
            "train.thaw is after epochs .3.; expected rising numbers from 1 to 2",
        ),
        (
            {"start_layers": "all", "freeze": "all"},
            "freezing 3 of 3 layers leaves nothing to train; expected 0 to 2",
        ),
    ],
)
def test_layers_that_do_not_fit_are_refused_in_one_sentence(
    raw_mnist: Raw, five_digits: Path, tmp_path: Path, values: dict[str, Any], sentence: str
) -> None:
    classes = 5 if "start_layers" in values else 10
    with pytest.raises(UserError, match=sentence):
        fit(raw_mnist, tmp_path, starting(five_digits, **values), classes=classes)


def test_a_start_that_is_not_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a .keras file, .* or pipeline/none"):
        train_params(start_from="model.pth")
