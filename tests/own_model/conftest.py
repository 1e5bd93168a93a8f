"""Digits, and a model of them that somebody else made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.datasets import Raw
from pipeline.files.artifacts import Array
from pipeline.training.batches import Data


@pytest.fixture(scope="session")
def data(raw_mnist: Raw) -> Data:
    def part(start: int, stop: int) -> tuple[Array, Array]:
        return raw_mnist.train_images[start:stop], raw_mnist.train_labels[start:stop]

    return Data(part(0, 2000), part(2000, 4000), 10)


def nearest_mean(
    data: Data, scaling: tuple[Any, ...], order: list[int] | None = None, **end: Any
) -> keras.Model:
    """A model that names the nearest class mean of pixels that are scaled in this way."""
    mean, deviation = (np.asarray(value) for value in scaling[:2])
    images = (data.train[0] - mean) / deviation
    means = np.stack([images[data.train[1] == label].mean(0).ravel() for label in range(10)])
    means = means[order or range(10)] / images.std() / 30
    bias = -(means**2).sum(1) / 2 * images.std() * 30
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, **end)], name="theirs"
    )
    model.layers[-1].set_weights([means.T, bias])
    return model


def hostile_lambda(path: Path, mark: Path) -> None:
    """A model whose Lambda layer writes a file when it is built or called."""
    target = str(mark)

    def run(value: Any) -> Any:
        Path(target).touch()
        return value

    image = keras.Input((28, 28, 1))
    keras.Model(image, layers.Lambda(run)(image)).save(path)
    mark.unlink(missing_ok=True)
