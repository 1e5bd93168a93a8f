"""Numbers in their unit: a network learns them standardized, and the trained model gives the unit.

A loss of standardized numbers is about 1 at the start, whatever the unit, so learning rates and
schedules need not know it. Afterwards the mean and the standard deviation of the training set
become part of the last layer's weights, as the temperature of classes does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from pipeline.config.parts import is_number
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.training.batches import Data


def statistics(data: Data) -> tuple[float, float]:
    """The mean and the standard deviation of the numbers of the training set."""
    labels = np.asarray(data.train[1], np.float64)
    return float(labels.mean()), float(labels.std())


def standardized(data: Data) -> Data:
    """The data with numbers (N,) as standardized rows (N, 1); other labels stay as they are."""
    if not is_number(data.target):
        return data
    mean, deviation = statistics(data)

    def rows(labels: Array) -> Array:
        result: Array = ((np.asarray(labels, np.float64) - mean) / deviation).astype(np.float32)
        return result[:, None]

    (images, labels), (others, other_labels) = data.train, data.validation
    return replace(data, train=(images, rows(labels)), validation=(others, rows(other_labels)))


def error(data: Data) -> Any:
    """The mean absolute error in the unit, as a metric of standardized numbers."""
    _, deviation = statistics(data)

    def distance(labels: Any, outputs: Any) -> Any:
        return deviation * keras.ops.abs(labels - outputs)[..., 0]

    return keras.metrics.MeanMetricWrapper(distance, name="error")


def fold(model: keras.Model, data: Data) -> None:
    """Makes the last layer, which gave standardized numbers, give them in the unit of `data`."""
    mean, deviation = statistics(data)
    layer = model.layers[-1]
    if not isinstance(layer, keras.layers.Dense) or layer.bias is None:
        raise UserError(
            "the model does not end in a dense layer with a bias; expected one for a number"
        )
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * deviation, bias * deviation + mean])
