"""From params and data to a trained model: build, compile, fit phase by phase, take the best epoch.

Keras alone, so that any of its backends runs it.
"""

from __future__ import annotations

import importlib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import Train
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.training.learning_curves import Row, best_epoch

with imports.keras_import():
    import keras

    from pipeline.training import (
        averaging,
        batch_normalization,
        keras_files,
        keras_objects,
        layer_statistics,
        schedules,
        transfer,
    )
    from pipeline.training.batches import Batches, Data, ShuffledBatches, targets
    from pipeline.training.checkpoint import State

    keras.ops.convert_to_tensor(0)

PROBE = 256  # images on which the layers are looked at before training


@dataclass(frozen=True)
class Trained:
    model: keras.Model
    rows: list[Row]
    best: int
    layers: dict[str, float]  # what the layers do before the first step


def build(chosen: Train, data: Data) -> keras.Model:
    """The architecture with fresh weights, its layers named the same in every run."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(chosen.seed)
    module = importlib.import_module(f"pipeline.architectures.{chosen.architecture}")
    try:
        model: keras.Model = module.build(data.inputs, data.num_classes, chosen.network)
    except (TypeError, ValueError) as error:
        reason = " ".join(
            re.sub(r"\x1b\[\d+m", "", str(error)).split("Arguments received")[0].split()
        )
        raise UserError(
            f"architecture {chosen.architecture} does not fit inputs of shape {data.inputs.shape}: {reason}"
        ) from None
    return model


def is_sparse(loss: Any) -> bool:
    """Whether a loss or metric wants integer labels; all others of Keras want one-hot rows."""
    return type(loss).__name__.startswith("Sparse")


def compile_for(chosen: Train, model: keras.Model, highest: float, steps: int) -> None:
    """Gives the model its loss, metrics and optimizer, whose rate is `highest` or a schedule of `steps`. Raises UserError."""
    loss = keras_objects.loss(chosen.loss)
    metrics = [
        keras_objects.metric(f"train.metrics[{index}]", metric)
        for index, metric in enumerate(chosen.metrics)
    ]
    for metric in metrics:
        if is_sparse(metric) != is_sparse(loss):
            wanted = (
                "SparseCategoricalCrossentropy"
                if is_sparse(metric)
                else "CategoricalCrossentropy, which is the same loss"
            )
            raise UserError(
                f"train.metrics: {type(metric).__name__} takes other labels than the loss; allowed with it is {wanted}"
            )
    model.compile(
        optimizer=keras_objects.optimizer(
            chosen.optimizer, schedules.learning_rate(chosen, highest, steps)
        ),
        loss=loss,
        metrics=["accuracy", *metrics],
        steps_per_execution=chosen.steps_per_execution,
    )
    model.optimizer.build(model.trainable_variables)


def fit(
    chosen: Train,
    data: Data,
    folder: Path,
    on_row: Callable[[Row], None],
    watchers: Sequence[keras.callbacks.Callback] = (),
) -> Trained:
    """Trains, going on from `folder` where that holds the state of an interrupted run; `watchers` look on."""
    keras_files.make_deterministic()
    keras.config.set_dtype_policy(chosen.precision)
    model = build(chosen, data)
    phases = transfer.phases(chosen, transfer.take(chosen, model))
    layers = layers_at_start(model, data, keras_objects.loss(chosen.loss))
    model = batch_normalization.fused(model)
    trained = with_augmentation(chosen, model, data)
    state = State(folder, chosen, len(data.train[1]), on_row)
    state.set_model(trained)
    done = state.read()
    if done:
        print(f"going on after epoch {done}")
    for phase in phases:
        if phase.last < done:
            continue
        transfer.freeze(model, phase.frozen)
        batch_size = data.batch(chosen.batch_size)
        compile_for(
            chosen,
            trained,
            phase.learning_rate,
            math.ceil(len(data.train[1]) / batch_size) * (phase.last - phase.first),
        )
        if phase.first < done:
            state.resume()
        if done < phase.last and not state.should_stop():
            fit_phase(chosen, trained, data, phase, [state, *watchers])
            done = len(state.rows)
        trained.optimizer.finalize_variable_values(
            trained.trainable_weights
        )  # as Keras does, but also where nothing was left to fit
    state.load_best()
    return Trained(
        plain(model, chosen, data), state.rows, best_epoch(state.rows, chosen.keep), layers
    )


def with_augmentation(chosen: Train, model: keras.Model, data: Data) -> keras.Model:
    if chosen.augmentation and data.inputs.dtype != "uint8":
        raise UserError(
            "train.augmentation is for images, and the dataset holds ids; allowed with them is []"
        )
    augmentation = [
        keras_objects.augmentation(index, layer, chosen.seed + index)
        for index, layer in enumerate(chosen.augmentation)
    ]
    return keras.Sequential(
        [keras.Input(data.inputs.shape, dtype=model.inputs[0].dtype), *augmentation, model],
        name="training",
    )


def fit_phase(
    chosen: Train, trained: keras.Model, data: Data, phase: transfer.Phase, callbacks: list[Any]
) -> None:
    """Trains the compiled model to the end of the phase, or until it should stop; `callbacks` start with the state it goes on from."""
    sparse = is_sparse(trained.loss)
    rows = callbacks[0].rows
    with imports.quiet():
        trained.fit(
            ShuffledBatches(data, data.batch(chosen.batch_size), sparse, chosen.seed, len(rows)),
            validation_data=Batches(data.validation, keras_files.BATCH, data.num_classes, sparse),
            epochs=phase.last,
            initial_epoch=len(rows),
            shuffle=False,  # ShuffledBatches does it, by seed and epoch
            callbacks=[
                averaging.ValidatesAverages(),
                *callbacks,
                *schedules.callbacks(chosen, phase.learning_rate, rows[phase.first :]),
            ],
            verbose="auto" if os.isatty(1) else 0,
        )


def layers_at_start(model: keras.Model, data: Data, loss: keras.Loss) -> dict[str, float]:
    """How the layers do on the first images of p-training."""
    inputs, labels = (np.asarray(part[:PROBE]) for part in data.train)
    return layer_statistics.measure(
        model, inputs, targets(labels, data.num_classes, is_sparse(loss)), loss
    )


def plain(model: keras.Model, chosen: Train, data: Data) -> keras.Model:
    """The same model in float32, without anything that only training needs."""
    weights = model.get_weights()
    keras.config.set_dtype_policy("float32")
    network = chosen.network.model_copy(update={"drop_connect": 0.0})
    result = build(chosen.model_copy(update={"network": network}), data)
    result.set_weights(weights)
    return result
