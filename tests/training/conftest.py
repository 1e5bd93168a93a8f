"""A training of the smallest network on 500 images, and how it is killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.config import params
from pipeline.datasets import Raw
from pipeline.files.artifacts import Array
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pipeline.training.batches import Data


def train_params(**values: object) -> params.Train:
    small = {"architecture": "mlp", "epochs": 3, "warmup": 0.1, "augmentation": []}
    return params.load(ROOT / "params.yaml").train.model_copy(update={**small, **values})


def split(raw: Raw) -> Data:
    from pipeline.training.batches import Data

    return Data(
        (raw.train_images[:500], raw.train_labels[:500]),
        (raw.train_images[500:600], raw.train_labels[500:600]),
        10,
    )


def fit(raw: Raw, folder: Path, train: params.Train) -> tuple[Array, list[dict[str, float]]]:
    """All weights as one vector, and the rows of the learning curves."""
    from pipeline.training import fit as fitting

    trained = fitting.fit(train, split(raw), folder, lambda row: None)
    weights = np.concatenate([weights.ravel() for weights in trained.model.get_weights()])
    return weights, trained.rows


def validation_losses(rows: list[dict[str, float]]) -> list[float]:
    return [row["validation_loss"] for row in rows]


AVERAGES = params.KerasObject(
    class_name="AdamW", config={"weight_decay": 0.05, "use_ema": True, "ema_momentum": 0.9}
)
