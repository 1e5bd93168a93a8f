"""From params and data to a trained model: build, compile, fit phase by phase, take the best epoch.

It uses Keras alone, so any Keras backend can run it.
"""

from __future__ import annotations

import importlib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import Network, Train
from pipeline.process import imports, ranks
from pipeline.process.errors import UserError
from pipeline.training.learning_curves import Row

with imports.keras_import():
    import keras

    from pipeline.training import (
        augmentation,
        averaging,
        batch_normalization,
        distribution,
        features,
        keras_files,
        keras_objects,
        layer_statistics,
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
    from pipeline.training.checkpoint import State, best_of
    from pipeline.training.compatibility import check_input, outliers_key, output
    from pipeline.training.compilation import accuracy, compile_for, is_sparse

    # JAX would take a GPU, which belongs to a rank if there are several
    if keras.backend.backend() == "tensorflow":
        keras.ops.convert_to_tensor(0)

# Training images on which the layers are measured before the first step, fewer of large images
# and for large networks
PROBE = 256


@dataclass(frozen=True)
class TrainedModel:
    model: keras.Model
    rows: list[Row]
    best: int
    layers: dict[str, float]  # statistics of the layers before the first step


def build(params: Train, data: Data) -> keras.Model:
    """The architecture with fresh weights; its layers have the same names in every run."""
    keras.utils.clear_session()
    if ranks.joined():
        distribution.share_batches()
    keras.utils.set_random_seed(params.seed)
    module = importlib.import_module(f"pipeline.architectures.{params.architecture}")
    network = params.network.over(Network(output=output(params, data)))
    try:
        model: keras.Model = module.build(data.inputs, data.num_classes, network)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"architecture {params.architecture} does not fit inputs of shape {data.inputs.shape}: "
            f"{_reason(error)}"
        ) from None
    return model


def weighted(params: Train, data: Data) -> Data:
    """The data with the class weights of `train.class_weights`.

    Raises UserError if an example may have several labels.
    """
    if params.class_weights is None:
        return data
    if data.target != "classes":
        raise UserError(
            f"train.class_weights is {params.class_weights}, which is for one class of several, "
            f"and the dataset asks for {data.target}; expected null"
        )
    labels = np.asarray(data.train[1])
    return replace(data, class_weights=balanced_weights(labels, data.num_classes))


def _reason(error: Exception) -> str:
    """Keras's message on one line, without colours and the dump of the arguments."""
    colourless = re.sub(r"\x1b\[\d+m", "", str(error))
    return " ".join(colourless.split("Arguments received")[0].split())


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
    in_unit, data = data, unit.standardized(weighted(params, data))
    plain = build(params, data)
    phases = transfer.phases(params, transfer.take(params, plain, start(params, data)))
    loss = keras_objects.loss(params.loss)
    layers = {} if ranks.joined() else layers_at_start(plain, data, loss)
    divided = _divided(params, plain, data, phases[0])
    model = batch_normalization.fused(plain)
    trained = with_augmentation(params, model, data)
    state = State(folder, params, len(data.train[1]), on_row)
    epochs = completed(state, params)
    callbacks = [state, *watchers]
    steps_per_epoch = math.ceil(len(data.train[1]) / data.batch(params.batch_size))
    rounding = None
    for phase in phases:
        if phase.last < epochs:
            continue
        transfer.freeze(params, model, phase.frozen)
        first = divided if phase is phases[0] else None
        network = first.network if first else trained
        if phase.quantized:
            rounding = quantization.aware(model)
            network = with_augmentation(params, rounding, data)
        steps = steps_per_epoch * phase.scheduled
        metric = unit.error(in_unit) if data.target == "number" else accuracy(data)
        compile_for(params, network, phase.learning_rate, steps, metric)
        run_phase(params, network, partial(first.data, data) if first else data, phase, callbacks)
        if first:
            first.copy_to(model)
    best = best_of(params, state.rows)
    if ranks.joined():
        return TrainedModel(model, state.rows, best, layers)
    if rounding:
        state.load_best()
        quantization.copy_weights(rounding, model)
    elif divided and best <= phases[0].last:
        divided.reset()
        state.set_model(divided.network)
        state.load_best()
        divided.copy_to(model)
    else:
        state.set_model(trained)
        state.load_best()
    result = inference_model(model, params, data)
    if data.target == "number":
        unit.fold(result, in_unit)
    if rounding:
        keras_files.set_ranges(result, quantization.ranges(rounding))
    return TrainedModel(result, state.rows, best, layers)


def completed(state: State, params: Train) -> int:
    """Reads the checkpoint; returns the number of completed epochs."""
    epochs = state.read()
    if 0 < epochs < params.epochs and not state.should_stop():
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

    The first of `callbacks` is the State. Data that take long to compute come as a function, which
    is called only if there are epochs left.
    """
    state = callbacks[0]
    state.set_model(network)
    epochs = len(state.rows)
    if phase.first < epochs:
        state.resume()
    if epochs < phase.last and not state.should_stop():
        fit_phase(params, network, data() if callable(data) else data, phase, callbacks)
    # Keras's `fit` does so too, but a phase that was complete on resuming does not run it
    network.optimizer.finalize_variable_values(network.trainable_weights)


def start(params: Train, data: Data) -> keras.Model | None:
    """The model whose layers `train.weights` or `train.start_from` provides. Raises UserError."""
    file = Path(params.start_from) if params.starts_from_a_file else None
    if params.starts_from_a_backbone:
        module = importlib.import_module(f"pipeline.architectures.{params.architecture}")
        backbone: keras.Model = module.pretrained(data.inputs, params.network, file)
        return backbone
    return keras_files.load(file) if file else None


def _divided(
    params: Train, model: keras.Model, data: Data, first: transfer.Phase
) -> features.Divided | None:
    """The model in two, if the frozen layers of the first phase can be computed once."""
    if not first.frozen:
        return None
    transfer.freeze(params, model, first.frozen)
    changing = ("train.augmentation", "[]") if params.augmentation else outliers_key(params, data)
    if changing:
        key, none = changing
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


def with_augmentation(params: Train, model: keras.Model, data: Data) -> keras.Model:
    check_input(params, data)
    shape = data.inputs.shape
    inputs = keras.Input(shape, dtype=model.inputs[0].dtype)
    return keras.Sequential(
        [inputs, *augmentation.layers(params, shape), model],
        name="training",
    )


def fit_phase(
    params: Train, trained: keras.Model, data: Data, phase: transfer.Phase, callbacks: list[Any]
) -> None:
    """Trains the compiled model to the end of the phase, or until it should stop.

    The first of `callbacks` is the State from which training continues.
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


def layers_at_start(model: keras.Model, data: Data, loss: keras.Loss) -> dict[str, float]:
    """The statistics of the layers on the first images of the training set."""
    affordable = layer_statistics.affordable(model)
    count = min(PROBE, keras_files.batch_size(data.train[0]), affordable)
    inputs, labels = (np.asarray(part[:count]) for part in data.train)
    expected = targets(labels, data.num_classes, is_sparse(loss))
    return layer_statistics.measure(model, inputs, expected, loss)


def inference_model(model: keras.Model, params: Train, data: Data) -> keras.Model:
    """The same model in float32, without the parts that only training needs."""
    weights = model.get_weights()
    keras.config.set_dtype_policy("float32")
    network = params.network.model_copy(update={"drop_connect": None})
    result = build(params.model_copy(update={"network": network}), data)
    result.set_weights(weights)
    return result
