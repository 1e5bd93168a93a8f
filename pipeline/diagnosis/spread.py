"""Spread of activations and gradients in each layer before training.

    edgeproof spread

It shows whether they vanish, explode or saturate, with the network, initializer and loss of
params.yaml. Reads: params.yaml, data/prepared. Writes nothing; prints a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.config import params, starts
from pipeline.config.params import NONE, Train
from pipeline.diagnosis import data_and_layer_rules
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.process.words import percent

with imports.keras_import():
    import keras

    from pipeline.training import (
        compilation,
        keras_files,
        keras_objects,
        layer_statistics,
        models,
        transfer,
        unit,
    )
    from pipeline.training.batches import Data, targets

EXAMPLES = 256
WIDTH = 110  # columns of the table, also if the output is not a terminal
SATURATED = 0.99  # tanh and the sigmoid are flat where their value is beyond this
CURE = (
    "use an initializer that fits the activation (relu: HeNormal, tanh: GlorotNormal, selu: "
    "LecunNormal), or normalization"
)


@dataclass(frozen=True)
class LayerSpread:
    """One layer on the first examples: its activations, and the gradient of its kernel.

    `zero` and `saturated` are shares of all activations; `dead` is the share of units, or channels,
    that are zero for every example.
    """

    layer: str
    activation_mean: float
    activation_deviation: float
    zero: float
    dead: float
    saturated: float
    bounded: bool
    gradient_deviation: float


def measure(train_params: Train, data: Data) -> list[LayerSpread]:
    """The spread in each layer with a kernel, from the input on.

    It is that of EXAMPLES training examples, or of fewer if they are large. Raises UserError for a
    backbone, where not every layer has an activation.
    """
    if train_params.architecture in starts.backbones():
        raise UserError(
            f"the spread is measured after the activation of each layer, and not every layer of "
            f"{train_params.architecture} has one; expected another architecture"
        )
    model = models.build(train_params, data)
    count = min(EXAMPLES, keras_files.batch_size(data.train[0]))
    images, labels = (np.asarray(array[:count]) for array in data.train)
    kernels = [
        next(layer for layer in group if hasattr(layer, "kernel"))
        for group in transfer.layers(model)
    ]
    activated = [layer.output for layer in model.layers if keras_objects.is_activation(layer)]
    outputs = [*activated, *model.outputs][-len(kernels) :]
    loss = keras_objects.loss(train_params.loss)
    expected = targets(labels, data.num_classes, compilation.is_sparse(loss))
    gradients, values = layer_statistics.gradients(model, outputs, loss, (images, expected))
    activations = [keras.ops.convert_to_numpy(value) for value in values]
    return [
        _spread(layer.name, activation, gradient)
        for layer, activation, gradient in zip(kernels, activations, gradients, strict=True)
    ]


def _spread(name: str, activation: Array, gradient: Array) -> LayerSpread:
    is_zero = activation == 0
    return LayerSpread(
        layer=name,
        activation_mean=float(activation.mean()),
        activation_deviation=float(activation.std()),
        zero=float(is_zero.mean()),
        dead=float(is_zero.reshape(-1, activation.shape[-1]).all(0).mean()),
        saturated=float((np.abs(activation) > SATURATED).mean()),
        bounded=float(np.abs(activation).max()) <= 1,
        gradient_deviation=float(gradient.std()),
    )


def verdict(spreads: list[LayerSpread]) -> str:
    """The meaning of the table in a sentence, by the limits of `diagnose`.

    Only the gradient of the last layer counts, since its activations are the probabilities.
    """
    *hidden, last = spreads
    gradient_ratio = _ratio(spreads[0].gradient_deviation, last.gradient_deviation, default=0.0)
    activation_ratio = 1.0
    if hidden:
        activation_ratio = _ratio(
            hidden[-1].activation_deviation, hidden[0].activation_deviation, default=1.0
        )
    if fault := _faulty_layer(hidden):
        return fault
    comparisons = (
        (activation_ratio, "activations of the last hidden layer are", "those of the first"),
        (gradient_ratio, "gradient of the first layer is", "that of the last"),
    )
    for ratio, subject, reference in comparisons:
        if not data_and_layer_rules.VANISHED <= ratio <= 1 / data_and_layer_rules.VANISHED:
            name = "vanishing" if ratio < 1 else "exploding"
            return f"{name}: the {subject} {ratio:.1g} times {reference}; {CURE}"
    return (
        "sound: no layer is dead or saturated, and the gradient of the first is "
        f"{gradient_ratio:.2g} times that of the last"
    )


def _faulty_layer(hidden: list[LayerSpread]) -> str | None:
    """The verdict on the first dead layer, or else the first saturated one, if there is one."""
    for layer in hidden:
        if layer.dead >= data_and_layer_rules.DEAD:
            return (
                f"dead: {percent(layer.dead, 0)} of the units of {layer.layer} are zero for every "
                "example; use another initializer, or LeakyReLU or SELU"
            )
    for layer in hidden:
        if layer.bounded and layer.saturated >= data_and_layer_rules.SATURATED:
            return (
                f"saturated: {percent(layer.saturated, 0)} of the activations of {layer.layer} are "
                "at an end of their range; use smaller initial weights"
            )
    return None


def _ratio(value: float, reference: float, default: float) -> float:
    return value / reference if reference else default


def report() -> None:
    """Prints the table and what it means. Raises UserError if params.yaml names a trained model."""
    settings = params.load()
    if settings.model.is_given:
        raise UserError(
            f"model.path is {settings.model.path}, and this looks at a network before training; "
            f"expected {NONE}"
        )
    train_params = settings.train
    train, validation = split_files.load_split("train"), split_files.load_split("validation")
    data = unit.standardized(Data.described(train, validation, artifacts.load_description()))
    with imports.quiet():
        spreads = measure(train_params, data)
    Console(width=WIDTH).print(_table(spreads))
    print(verdict(spreads))


def _table(spreads: list[LayerSpread]) -> Table:
    table = Table(
        "layer",
        "activations: mean",
        "deviation",
        "zero",
        f"beyond {SATURATED}",
        "gradients: deviation",
    )
    for spread in spreads:
        table.add_row(
            spread.layer,
            f"{spread.activation_mean:.2g}",
            f"{spread.activation_deviation:.2g}",
            percent(spread.zero, 1),
            percent(spread.saturated, 1),
            f"{spread.gradient_deviation:.2g}",
        )
    return table
