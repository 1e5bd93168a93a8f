"""Spread of activations and gradients in deep stacks (lecture L1), and TensorBoard's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.params import Watch
from pipeline.datasets import Raw
from pipeline.process.errors import UserError
from tests.techniques.small_training import data, train_params

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def stack(initializer: Any, activation: str) -> Any:
    return train_params(
        network={"hidden": [64] * 8, "activation": activation, "kernel_initializer": initializer}
    )


def normal(deviation: float) -> dict[str, Any]:
    return {"class_name": "RandomNormal", "config": {"stddev": deviation}}


def test_small_weights_vanish_large_ones_saturate_and_scaled_ones_keep_the_spread(
    raw_mnist: Raw,
) -> None:
    from pipeline.diagnosis import spread

    digits = data(raw_mnist)
    small = spread.measure(stack(normal(0.01), "tanh"), digits)
    large = spread.measure(stack(normal(1.0), "tanh"), digits)
    glorot = spread.measure(stack("GlorotNormal", "tanh"), digits)
    he = spread.measure(stack("HeNormal", "relu"), digits)
    assert len(small) == 9
    verdicts = [spread.verdict(spreads).split(":")[0] for spreads in (small, large, glorot, he)]
    assert verdicts == ["vanishing", "saturated", "sound", "sound"]
    assert small[7].activation_deviation < 1e-4 * small[0].activation_deviation
    assert small[0].gradient_deviation < 1e-4 * glorot[0].gradient_deviation
    assert large[7].saturated > 0.5
    assert glorot[7].saturated < 0.05
    for scaled in (glorot, he):
        assert scaled[7].activation_deviation > 0.2 * scaled[0].activation_deviation
    assert 0.3 < he[7].zero < 0.7


def test_a_backbone_is_refused_because_not_every_layer_has_an_activation(raw_mnist: Raw) -> None:
    from pipeline.diagnosis import spread

    train = train_params(architecture="mobilenet_v1", network={})
    with pytest.raises(UserError, match=r"not every layer of mobilenet_v1 has one"):
        spread.measure(train, data(raw_mnist))


def test_tensorboard_gets_the_curves_and_does_not_change_the_weights(
    raw_mnist: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    from pipeline import train
    from pipeline.training import fit

    monkeypatch.chdir(tmp_path)
    digits, recipe = data(raw_mnist), train_params(epochs=2)
    watched, unwatched = (
        fit.fit(
            recipe,
            digits,
            tmp_path / str(tensorboard),
            lambda row: None,
            train.tensorboard(Watch(tensorboard=tensorboard), "key"),
        )
        for tensorboard in (True, False)
    )
    for weights, expected in zip(
        watched.model.get_weights(), unwatched.model.get_weights(), strict=True
    ):
        assert (weights == expected).all()
    events = EventAccumulator(str(tmp_path / ".state/tensorboard/key/validation")).Reload()
    losses = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors("epoch_loss")]
    assert losses == pytest.approx([row["validation_loss"] for row in watched.rows])
