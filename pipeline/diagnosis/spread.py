"""How widely activations and gradients are spread in each layer before training: do they vanish, explode or saturate?

    edgeproof spread

Reads: params.yaml, data/prepared. Writes nothing; prints a table for the network, the initializer and the loss that params.yaml has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.config import params
from pipeline.config.params import Train
from pipeline.diagnosis import data_and_layer_rules
from pipeline.files import artifacts
from pipeline.process import imports

with imports.keras_import():
    import keras

    from pipeline.training import fit, keras_objects, layer_statistics, transfer
    from pipeline.training.batches import Data, targets

EXAMPLES = 256
WIDTH = 110  # columns of the table, also where the output is no terminal
SATURATED = 0.99  # an activation beyond this is where tanh and the sigmoid are flat


@dataclass(frozen=True)
class Spread:
    """One layer on the first examples: its activations after the activation function, and the gradient of its kernel.

    `zero` and `saturated` are shares of all activations, `dead` of the units, or channels, that are zero for every example.
    """

    layer: str
    activation_mean: float
    activation_deviation: float
    zero: float
    dead: float
    saturated: float
    bounded: bool
    gradient_deviation: float


def measure(chosen: Train, data: Data) -> list[Spread]:
    """The spread in each layer with a kernel, from the input on, on the first EXAMPLES of p-training."""
    model = fit.build(chosen, data)
    images, labels = (np.asarray(array[:EXAMPLES]) for array in data.train)
    kernels = [
        next(layer for layer in group if hasattr(layer, "kernel"))
        for group in transfer.layers(model)
    ]
    outputs = [
        layer.output for layer in model.layers if keras_objects.is_activation(layer)
    ] + model.outputs
    loss = keras_objects.loss(chosen.loss)
    wanted = targets(labels, data.num_classes, fit.is_sparse(loss))
    gradients, values = layer_statistics.gradients(
        model, outputs[-len(kernels) :], loss, (images, wanted)
    )
    activations = [keras.ops.convert_to_numpy(value) for value in values]
    return [
        Spread(
            layer=layer.name,
            activation_mean=float(activation.mean()),
            activation_deviation=float(activation.std()),
            zero=float((activation == 0).mean()),
            dead=float((activation.reshape(-1, activation.shape[-1]) == 0).all(0).mean()),
            saturated=float((np.abs(activation) > SATURATED).mean()),
            bounded=float(np.abs(activation).max()) <= 1,
            gradient_deviation=float(gradient.std()),
        )
        for layer, activation, gradient in zip(kernels, activations, gradients, strict=True)
    ]


def verdict(spreads: list[Spread]) -> str:
    """What the table means, in a sentence, by the limits of `diagnose`; of the last layer only the gradient counts."""
    *hidden, last = spreads
    ratio = (
        spreads[0].gradient_deviation / last.gradient_deviation if last.gradient_deviation else 0.0
    )
    passed_on = (
        hidden[-1].activation_deviation / hidden[0].activation_deviation
        if hidden and hidden[0].activation_deviation
        else 1.0
    )
    dead = next((one for one in hidden if one.dead >= data_and_layer_rules.DEAD), None)
    flat = next(
        (one for one in hidden if one.bounded and one.saturated >= data_and_layer_rules.SATURATED),
        None,
    )
    if dead:
        return f"dead: {dead.dead:.0%} of the units of {dead.layer} are zero for every example; initialize otherwise, or use LeakyReLU or SELU"
    if flat:
        return f"saturated: {flat.saturated:.0%} of the activations of {flat.layer} are at an end of their range; use smaller initial weights"
    cure = "use an initializer that fits the activation (relu: HeNormal, tanh: GlorotNormal, selu: LecunNormal), or normalization"
    for what, change in (
        ("activations of the last hidden layer are", passed_on),
        ("gradient of the first layer is", ratio),
    ):
        if not data_and_layer_rules.VANISHED <= change <= 1 / data_and_layer_rules.VANISHED:
            name = "vanishing" if change < 1 else "exploding"
            of = "those of the first" if change is passed_on else "that of the last"
            return f"{name}: the {what} {change:.1g} times {of}; {cure}"
    return f"sound: no layer is dead or saturated, and the first gets {ratio:.2g} times the gradient of the last"


def report() -> None:
    """Prints the table and what it means."""
    chosen = params.load().train
    known = artifacts.load_description()
    data = Data(
        artifacts.load_split("train"),
        artifacts.load_split("validation"),
        len(known.class_names),
        known.highest,
    )
    with imports.quiet():
        spreads = measure(chosen, data)
    table = Table(
        "layer",
        "activations: mean",
        "deviation",
        "zero",
        f"beyond {SATURATED}",
        "gradients: deviation",
    )
    for one in spreads:
        shares = (f"{100 * one.zero:.1f} %", f"{100 * one.saturated:.1f} %")
        table.add_row(
            one.layer,
            f"{one.activation_mean:.2g}",
            f"{one.activation_deviation:.2g}",
            *shares,
            f"{one.gradient_deviation:.2g}",
        )
    Console(width=WIDTH).print(table)
    print(verdict(spreads))
