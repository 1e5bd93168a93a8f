"""From params and data to a trained model: build, compile, fit phase by phase, take the best epoch.

It uses Keras alone, so any Keras backend can run it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import Train
from pipeline.config.parts import is_number, one_class_each
from pipeline.process import imports, ranks
from pipeline.process.errors import UserError
from pipeline.training.learning_curves import Row

with imports.keras_import():
    import keras

    from pipeline.training import (
        augmentation,
        averaging,
        batch_normalization,
        features,
        keras_files,
        keras_objects,
        layer_statistics,
        models,
        quantization,
        schedules,
        transfer,
        unit,
    )
    from pipeline.training.batches import (
        Batches,
        Data,
        ShuffledBatches,
        balanced_weights,
        targets,
    )
    from pipeline.training.checkpoint import Checkpointing, best_of
    from pipeline.training.compilation import accuracy, compile_for, is_sparse

# Training images on which the layers are measured before the first step, fewer of large images
# and for large networks
PROBE = 256


@dataclass(frozen=True)
class TrainedModel:
    model: keras.Model
    rows: list[Row]
    best: int
    layers: dict[str, float]  # statistics of the layers before the first step


def weighted(params: Train, data: Data) -> Data:
    """The data with the class weights of `train.class_weights`.

    Raises UserError if an example may have several labels.
    """
    if params.class_weights is None:
        return data
    if not one_class_each(data.target):
        raise UserError(
            f"train.class_weights is {params.class_weights}, which is for one class of several, "
            f"and the dataset asks for {data.target}; expected null"
        )
    labels = np.asarray(data.train[1])
    return replace(data, class_weights=balanced_weights(labels, data.num_classes))


class Training:
    """The network that is being fitted, the model that it becomes, and its checkpoint."""

    def __init__(self, params: Train, unscaled: Data, checkpointing: Checkpointing) -> None:
        self.params, self.unscaled, self.checkpointing = params, unscaled, checkpointing
        self.data = data = unit.standardized(weighted(params, unscaled))
        plain = models.build(params, data)
        self.phases = transfer.phases(
            params, transfer.take(params, plain, models.start(params, data))
        )
        self.layers = {} if ranks.joined() else layers_at_start(params, plain, data)
        self.divided = _divided(params, plain, data, self.phases[0])
        self.model = batch_normalization.fused(plain)
        self.network = models.with_augmentation(params, self.model, data)
        self.rounding: keras.Model | None = None  # the model with the rounding of int8

    def run(self, phase: transfer.Phase, watchers: Sequence[keras.callbacks.Callback]) -> None:
        """Trains to the end of the phase, from the checkpoint if it has one."""
        params, data = self.params, self.data
        transfer.freeze(params, self.model, phase.frozen)
        divided = self.divided if phase is self.phases[0] else None
        network = divided.network if divided else self.network
        if phase.quantized:
            self.rounding = quantization.aware(self.model)
            network = models.with_augmentation(params, self.rounding, data)
        steps = math.ceil(len(data.train[1]) / data.batch(params.batch_size)) * phase.scheduled
        metric = unit.error(self.unscaled) if is_number(data.target) else accuracy(data)
        compile_for(params, network, phase.learning_rate, steps, metric)
        inputs = partial(divided.data, data) if divided else data
        run_phase(params, network, inputs, phase, [self.checkpointing, *watchers])
        if divided:
            divided.copy_to(self.model)

    def load(self, best: int) -> None:
        """Gives the model the weights of the epoch `best`."""
        checkpointing, divided = self.checkpointing, self.divided
        if self.rounding:
            checkpointing.load_best()
            quantization.copy_weights(self.rounding, self.model)
        elif divided and best <= self.phases[0].last:
            divided.reset()
            checkpointing.set_model(divided.network)
            checkpointing.load_best()
            divided.copy_to(self.model)
        else:
            checkpointing.set_model(self.network)
            checkpointing.load_best()

    def result(self) -> keras.Model:
        """The model as it is saved, with its output in the unit of the data if it is a number."""
        model = models.inference_model(self.model, self.params, self.data)
        if is_number(self.data.target):
            unit.fold(model, self.unscaled)
        if self.rounding:
            keras_files.set_ranges(model, quantization.ranges(self.rounding))
        return model


def fit(
    params: Train,
    data: Data,
    folder: Path,
    on_row: Callable[[Row], None],
    watchers: Sequence[keras.callbacks.Callback] = (),
) -> TrainedModel:
    """Trains, or resumes from the checkpoint in `folder`; `watchers` are further callbacks.

    A rank leaves the best epoch to the process that started it, and returns the last.
    """
    keras_files.make_deterministic()
    keras.config.set_dtype_policy(params.precision)
    checkpointing = Checkpointing(folder, params, len(data.train[1]), on_row)
    training = Training(params, data, checkpointing)
    epochs = completed(checkpointing, params)
    for phase in training.phases:
        if phase.last >= epochs:
            training.run(phase, watchers)
    best = best_of(params, checkpointing.rows)
    if ranks.joined():
        return TrainedModel(training.model, checkpointing.rows, best, training.layers)
    training.load(best)
    return TrainedModel(training.result(), checkpointing.rows, best, training.layers)


def completed(checkpointing: Checkpointing, params: Train) -> int:
    """Reads the checkpoint; returns the number of completed epochs."""
    epochs = checkpointing.read()
    if 0 < epochs < params.epochs and not checkpointing.should_stop():
        print(f"resuming after epoch {epochs}")
    return epochs


def run_phase(
    params: Train,
    network: keras.Model,
    data: Data | Callable[[], Data],
    phase: transfer.Phase,
    callbacks: list[Any],
) -> None:
    """Trains a compiled network to the end of the phase, from its checkpoint if it has one.

    The first of `callbacks` is the Checkpointing. Data that take long to compute come as a
    function, which is called only if there are epochs left.
    """
    checkpointing = callbacks[0]
    checkpointing.set_model(network)
    epochs = len(checkpointing.rows)
    if phase.first < epochs:
        checkpointing.resume()
    if epochs < phase.last and not checkpointing.should_stop():
        fit_phase(params, network, data() if callable(data) else data, phase, callbacks)
    # Keras's `fit` does so too, but a phase that was complete on resuming does not run it
    network.optimizer.finalize_variable_values(network.trainable_weights)


def _divided(
    params: Train, model: keras.Model, data: Data, first: transfer.Phase
) -> features.Divided | None:
    """The model in two, if the frozen layers of the first phase can be computed once."""
    if not first.frozen:
        return None
    transfer.freeze(params, model, first.frozen)
    if params.augmentation or params.outliers:
        key, none = ("train.augmentation", "[]") if params.augmentation else ("train.outliers", "0")
        print(
            f"{key} changes the images in every epoch, so the frozen layers are "
            f"computed in every epoch too; with {none} the other layers train in seconds"
        )
        return None
    divided = features.divide(model, data.inputs.shape)
    if divided and ranks.joined():
        raise UserError(
            "train.processes is above 1, and the frozen layers of the model are computed once, "
            "after which the others train in seconds; set train.processes to 1, or let "
            "train.augmentation change the images in every epoch"
        )
    return divided


def fit_phase(
    params: Train, trained: keras.Model, data: Data, phase: transfer.Phase, callbacks: list[Any]
) -> None:
    """Trains the compiled model to the end of the phase, or until it should stop.

    The first of `callbacks` is the Checkpointing from which training continues.
    """
    sparse = is_sparse(trained.loss)
    rows = callbacks[0].rows
    batch = data.batch(params.batch_size)
    together = ranks.even(max(batch, keras_files.batch_size(data.validation[0])))
    batches = ShuffledBatches(data, batch, sparse, params.seed, len(rows))
    batches.mixing = augmentation.mixing(params, data.inputs.shape, sparse)
    batches.outliers = params.outliers
    validation = Batches(data.validation, together, data.num_classes, sparse)
    # The same weights for both, so that their losses stay comparable
    batches.class_weights = validation.class_weights = data.class_weights
    with imports.quiet():
        trained.fit(
            batches,
            validation_data=validation,
            epochs=phase.last,
            initial_epoch=len(rows),
            shuffle=False,  # ShuffledBatches shuffles, by seed and epoch
            callbacks=[
                averaging.ValidatesAverages(),
                *callbacks,
                *schedules.callbacks(params, phase.learning_rate, rows[phase.first :]),
            ],
            verbose="auto" if os.isatty(1) else 0,
        )


def layers_at_start(params: Train, model: keras.Model, data: Data) -> dict[str, float]:
    """The statistics of the layers on the first examples of the training set."""
    loss = keras_objects.loss(params.loss)
    affordable = layer_statistics.affordable(model)
    count = min(PROBE, keras_files.batch_size(data.train[0]), affordable)
    inputs, labels = (np.asarray(part[:count]) for part in data.train)
    expected = targets(labels, data.num_classes, is_sparse(loss))
    return layer_statistics.measure(model, inputs, expected, loss)
