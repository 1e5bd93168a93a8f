"""Trainings of a few units on a few digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import params
from pipeline.config.params import Train
from pipeline.datasets import Raw
from tests.conftest import ROOT

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
    "steps_per_execution": 1,  # tracing takes time in proportion to the steps
}


def train_params(**values: Any) -> Train:
    """The recipe of params.yaml, simplified to FIXED, with `values`."""
    recipe = params.load(ROOT / "params.yaml").train.model_dump()
    return Train.model_validate({**recipe, **FIXED, **values})


def data(raw: Raw, count: int = 64, classes: int = 10) -> Any:
    from pipeline.training.batches import Data

    rows = np.flatnonzero(raw.train_labels < classes)[: count + 32]
    images, labels = raw.train_images[rows], raw.train_labels[rows]
    return Data((images[:count], labels[:count]), (images[count:], labels[count:]), classes)


def step(raw: Raw, train: Train, classes: int = 10) -> Any:
    """The model after one batch; the loss must be finite.

    It runs eagerly, because compiling does not pay for a single step.
    """
    from pipeline.training import compilation, models
    from pipeline.training.batches import targets

    digits = data(raw, classes=classes)
    model = models.build(train, digits)
    compilation.compile_for(train, model, train.learning_rate, 10)
    model.run_eagerly = True
    images, labels = digits.train
    expected = targets(labels, classes, compilation.is_sparse(model.loss))
    loss = model.train_on_batch(images, expected, return_dict=True)["loss"]
    assert np.isfinite(loss)
    return model


def fit(
    raw: Raw, folder: Path, train: Train, on_row: Any = lambda row: None, classes: int = 10
) -> Any:
    from pipeline.training import fit

    return fit.fit(train, data(raw, classes=classes), folder, on_row)


PLATEAU = {
    "class_name": "ReduceLROnPlateau",
    "config": {"factor": 0.5, "patience": 1, "min_delta": 0.5},
}
