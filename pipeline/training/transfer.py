"""Transfer learning: layers of a trained model as a start, which of them stay frozen, and when they thaw.

A layer here is one with a kernel, convolution or dense, together with what follows it up to the next: batch normalization
freezes and thaws with the layer that it normalizes. Layers are counted from the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from pipeline.config.params import Train
from pipeline.process.errors import UserError
from pipeline.training import keras_files


@dataclass(frozen=True)
class Phase:
    """Epochs `first` (counted from 0) to before `last`, in which `frozen` layers keep their weights."""

    first: int
    last: int
    frozen: int
    learning_rate: float


def layers(model: keras.Model) -> list[list[keras.Layer]]:
    """The layers of a model, each with what belongs to it; the last is the output layer."""
    result: list[list[keras.Layer]] = []
    leading: list[
        keras.Layer
    ] = []  # batch normalization as the first layer belongs to the layer after it
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            result.append([*leading, layer])
            leading = []
        elif layer.weights:
            (result[-1] if result else leading).append(layer)
    return result


def take(chosen: Train, model: keras.Model) -> int:
    """Gives `model` the layers of the model that the training starts from; how many these are. Raises UserError."""
    if not chosen.starts_from_a_model:
        return 0
    source, target = layers(keras_files.load(Path(chosen.start_from))), layers(model)
    every = {"hidden": len(target) - 1, "all": len(target)}
    count = (
        every[chosen.start_layers] if isinstance(chosen.start_layers, str) else chosen.start_layers
    )
    if count > min(len(source), len(target)):
        raise UserError(
            f"train.start_layers is {count}; {chosen.start_from} has {len(source)} layers and the new model {len(target)}; "
            f"allowed is 1 to {min(len(source), len(target))}"
        )
    for number, (old, new) in enumerate(zip(source[:count], target[:count], strict=True), 1):
        shapes = [
            [weight.shape for layer in group for weight in layer.weights] for group in (old, new)
        ]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"layer {number} of {chosen.start_from} has weights of shapes {shapes[0]}, and the new model's {shapes[1]}; "
                f"describe it in train.network as it was there, or take {number - 1} in train.start_layers"
            )
        weights = [weight for layer in old for weight in layer.get_weights()]
        for layer in (one for one in new if one.weights):
            layer.set_weights(weights[: len(layer.weights)])
            weights = weights[len(layer.weights) :]
    return count


def phases(chosen: Train, taken: int) -> list[Phase]:
    """The training between one thawing and the next, each with an optimizer and a schedule of its own. Raises UserError."""
    frozen = taken if chosen.freeze == "all" else chosen.freeze
    starts = [
        (0, frozen, chosen.learning_rate),
        *((thaw.after, thaw.freeze, thaw.learning_rate) for thaw in chosen.thaw),
    ]
    ends = [first for first, _, _ in starts[1:]] + [chosen.epochs]
    result = [
        Phase(first, last, frozen, rate)
        for (first, frozen, rate), last in zip(starts, ends, strict=True)
    ]
    for phase in result:
        if phase.frozen > taken:
            raise UserError(
                f"{phase.frozen} layers are to be frozen, and train.start_from gives {taken}; allowed is 0 to {taken}"
            )
        if phase.last <= phase.first:
            raise UserError(
                f"train.thaw is after epochs {ends[:-1]}; allowed are rising numbers from 1 to {chosen.epochs - 1}"
            )
    return result


def freeze(model: keras.Model, count: int) -> None:
    """Freezes the first `count` layers, and thaws the others. A model is to be compiled after that. Raises UserError."""
    every = layers(model)
    if count >= len(every):
        raise UserError(
            f"all {count} layers are frozen, which leaves nothing to train; allowed is 0 to {len(every) - 1}"
        )
    for number, group in enumerate(every):
        for layer in group:
            layer.trainable = number >= count
