"""A folder without kept weights, and a training that starts from a file of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import params
from pipeline.config.params import Network, Train
from tests.conftest import ROOT


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout, without a mirror."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    return tmp_path


def save_no_top(path: Path, shape: tuple[int, ...] = (32, 32, 3), width: float = 0.25) -> Any:
    """A file such as keras.applications publishes, of random weights; returns its backbone."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    from pipeline.architectures import _backbone, mobilenet_v1

    backbone = _backbone.backbone(
        mobilenet_v1.features, shape, _backbone.complete(Network(width=width))
    )
    rng = np.random.default_rng(0)
    for layer in backbone.layers:
        layer.set_weights([weight + rng.uniform(0, 0.1) for weight in layer.get_weights()])
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, backbone)
    return backbone


def recipe(**values: Any) -> Train:
    base = params.load(ROOT / "params.yaml").train.model_dump()
    small = {
        "architecture": "mobilenet_v1",
        "augmentation": [],
        "batch_size": 16,
        "epochs": 3,
        "learning_rate": 0.01,
        "optimizer": "Adam",
        "schedule": "constant",
        "warmup": 0.0,
        "steps_per_execution": 1,
    }
    return Train.model_validate(base | small | values)


def taken_from(train: Train, shape: tuple[int, ...]) -> tuple[Any, int]:
    """The model that starts from what `train` names, and how many layers it takes."""
    from pipeline.training import models, transfer
    from pipeline.training.batches import Data

    images, labels = np.zeros((4, *shape), np.uint8), np.arange(4) % 2
    data = Data((images, labels), (images, labels), 2)
    model = models.build(train, data)
    return model, transfer.take(train, model, models.start(train, data))
