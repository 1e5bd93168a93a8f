"""The spread of activations and gradients before training: L1's histograms of deep stacks, and what watches a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.params import Watch
from pipeline.datasets import Raw
from tests.test_techniques import chosen, data

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def stack(initializer: Any, activation: str) -> Any:
    return chosen(
        network={"hidden": [64] * 8, "activation": activation, "kernel_initializer": initializer}
    )


def normal(deviation: float) -> dict[str, Any]:
    return {"class_name": "RandomNormal", "config": {"stddev": deviation}}


def test_small_weights_let_signals_vanish_large_ones_saturate_and_scaled_ones_keep_their_spread(
    raw_mnist: Raw,
) -> None:
    from pipeline.diagnosis import spread

    fed = data(raw_mnist)
    small = spread.measure(stack(normal(0.01), "tanh"), fed)
    large = spread.measure(stack(normal(1.0), "tanh"), fed)
    glorot = spread.measure(stack("GlorotNormal", "tanh"), fed)
    he = spread.measure(stack("HeNormal", "relu"), fed)
    assert len(small) == 9
    told = [spread.verdict(one).split(":")[0] for one in (small, large, glorot, he)]
    assert told == ["vanishing", "saturated", "sound", "sound"]
    assert small[7].activation_deviation < 1e-4 * small[0].activation_deviation
    assert small[0].gradient_deviation < 1e-4 * glorot[0].gradient_deviation
    assert large[7].saturated > 0.5
    assert glorot[7].saturated < 0.05
    for kept in (glorot, he):
        assert kept[7].activation_deviation > 0.2 * kept[0].activation_deviation
    assert 0.3 < he[7].zero < 0.7


def test_tensorboard_sees_the_curves_and_the_weights_are_the_same(
    raw_mnist: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    from pipeline import train
    from pipeline.training import fit

    monkeypatch.chdir(tmp_path)
    fed, recipe = data(raw_mnist), chosen(epochs=2)
    seen = fit.fit(
        recipe,
        fed,
        tmp_path / "seen",
        lambda row: None,
        train.tensorboard(Watch(tensorboard=True), "key"),
    )
    unseen = fit.fit(
        recipe,
        fed,
        tmp_path / "unseen",
        lambda row: None,
        train.tensorboard(Watch(tensorboard=False), "key"),
    )
    for one, other in zip(seen.model.get_weights(), unseen.model.get_weights(), strict=True):
        assert (one == other).all()
    events = EventAccumulator(str(tmp_path / ".state/tensorboard/key/validation")).Reload()
    losses = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors("epoch_loss")]
    assert losses == pytest.approx([row["validation_loss"] for row in seen.rows])
