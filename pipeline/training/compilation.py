"""Compiling a network: optimizer and learning rate, loss, and metrics that take its labels."""

from __future__ import annotations

from typing import Any

import keras

from pipeline.config.params import Train
from pipeline.process.errors import UserError
from pipeline.training import class_metrics, keras_objects, schedules
from pipeline.training.batches import Data


def is_sparse(loss: Any) -> bool:
    """Whether a loss or metric takes integer labels; all others in Keras take one-hot rows."""
    return type(loss).__name__.startswith("Sparse")


def accuracy(data: Data) -> Any:
    """Keras's accuracy, or for labels (N, K) the share of examples with all of them right."""
    if data.train[1].ndim == 1:
        return "accuracy"

    def all_right(labels: Any, outputs: Any) -> Any:
        same = keras.ops.equal(labels >= 0.5, outputs >= 0.5)
        return keras.ops.cast(keras.ops.all(same, axis=-1), "float32")

    return keras.metrics.MeanMetricWrapper(all_right, name="accuracy")


def compile_for(
    params: Train, model: keras.Model, highest: float, steps: int, metric: Any = "accuracy"
) -> None:
    """Compiles the model with a learning rate of `highest`, or a schedule over `steps` batches.

    Raises UserError.
    """
    loss = keras_objects.loss(params.loss)
    metrics = _metrics(params, loss)
    learning_rate = schedules.learning_rate(params, highest, steps)
    model.compile(
        optimizer=keras_objects.optimizer(params.optimizer, learning_rate),
        loss=loss,
        metrics=[metric, *metrics, *class_metrics.to_keep(params.keep, model.output_shape[-1])],
        steps_per_execution=params.steps_per_execution,
    )
    model.optimizer.build(model.trainable_variables)


def _metrics(params: Train, loss: keras.Loss) -> list[keras.Metric]:
    """Raises UserError for a metric that takes other labels than the loss."""
    metrics = [
        keras_objects.metric(f"train.metrics[{index}]", metric)
        for index, metric in enumerate(params.metrics)
    ]
    for metric in metrics:
        if is_sparse(metric) != is_sparse(loss):
            matching = (
                "SparseCategoricalCrossentropy"
                if is_sparse(metric)
                else "CategoricalCrossentropy, which is the same loss"
            )
            raise UserError(
                f"train.metrics: {type(metric).__name__} takes labels of another form than the "
                f"loss {type(loss).__name__}; expected the loss {matching}"
            )
    return metrics
