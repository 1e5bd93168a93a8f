"""Transfer learning: layers copied from a trained model, which of them are frozen, and until when.

A layer here is a convolution or dense layer with all that follows it up to the next one, so batch
normalization freezes and thaws with the layer that it normalizes. Layers are counted from the
input.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import keras

from pipeline.config.params import Train
from pipeline.process.errors import UserError
from pipeline.process.words import counted, verb

QUANTIZED_RATE = 0.2  # of the highest: where a cosine with warm-up is after three quarters


@dataclass(frozen=True)
class Phase:
    """The epochs `first` (counted from 0) to `last` (exclusive), with `frozen` layers frozen."""

    first: int
    last: int
    frozen: int
    learning_rate: float
    quantized: bool = False  # with the rounding of int8
    horizon: int | None = None  # the epoch in which its schedule would end; None: `last`

    @property
    def scheduled(self) -> int:
        """The epochs over which the rate falls."""
        return (self.last if self.horizon is None else self.horizon) - self.first


def layers(model: keras.Model) -> list[list[keras.Layer]]:
    """The layers of a model, each as a group with what belongs to it; the last is the output."""
    result: list[list[keras.Layer]] = []
    leading: list[keras.Layer] = []  # normalization of the input belongs to the layer after it
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            result.append([*leading, layer])
            leading = []
        elif layer.weights:
            (result[-1] if result else leading).append(layer)
    return result


def take(params: Train, model: keras.Model, start: keras.Model | None) -> int:
    """Copies layers of the model `start` into `model`; returns their number. Raises UserError."""
    if start is None:
        return 0
    source, target = layers(start), layers(model)
    count = _count(params, len(source), len(target))
    for number, (old, new) in enumerate(zip(source[:count], target[:count], strict=True), 1):
        old_shapes, new_shapes = _shapes(old), _shapes(new)
        if old_shapes != new_shapes:
            raise UserError(
                f"layer {number} of {_name(params)} has weights of shapes {old_shapes}, and "
                f"the new model's {new_shapes}; set train.network to that model's, or "
                f"train.start_layers to {number - 1}"
            )
        weights = [weight for layer in old for weight in layer.get_weights()]
        for layer in (layer for layer in new if layer.weights):
            layer.set_weights(weights[: len(layer.weights)])
            weights = weights[len(layer.weights) :]
    return count


def _name(params: Train) -> str:
    """Where the layers come from, for messages."""
    return params.start_from if params.starts_from_a_file else f"the weights {params.weights}"


def _count(params: Train, in_source: int, in_target: int) -> int:
    """`train.start_layers` as a number. Raises UserError."""
    named = {"hidden": in_target - 1, "all": in_target}
    start_layers = params.start_layers
    count = named[start_layers] if isinstance(start_layers, str) else start_layers
    most = min(in_source, in_target)
    if count > most:
        raise UserError(
            f"train.start_layers is {count}; {_name(params)} has {counted(in_source, 'layer')} and "
            f"the new model {in_target}; expected 1 to {most}"
        )
    return count


def _shapes(group: list[keras.Layer]) -> list[tuple[int, ...]]:
    return [weight.shape for layer in group for weight in layer.weights]


def phases(params: Train, taken: int) -> list[Phase]:
    """The phases of a training, divided by `train.thaw`; `taken` layers came from another model.

    Each phase has its own optimizer and schedule. Raises UserError.
    """
    freeze = params.freeze
    if freeze is None:
        freeze = "all" if params.starts_from_a_backbone else 0
    frozen = taken if freeze == "all" else freeze
    provider = "train.start_from" if params.weights == "none" else "train.weights"
    starts = [
        (0, frozen, params.learning_rate),
        *((thaw.after, thaw.freeze, thaw.learning_rate) for thaw in params.thaw),
    ]
    ends = [first for first, _, _ in starts[1:]] + [params.epochs]
    result = [
        Phase(first, last, frozen, rate)
        for (first, frozen, rate), last in zip(starts, ends, strict=True)
    ]
    for phase in result:
        if phase.frozen > taken:
            raise UserError(
                f"{counted(phase.frozen, 'layer')} {verb(phase.frozen, 'is', 'are')} to be frozen, "
                f"and {provider} provides {taken}; "
                f"expected 0 to {taken}"
            )
        if phase.last <= phase.first:
            raise UserError(
                f"train.thaw is after epochs {ends[:-1]}; expected rising numbers from 1 to "
                f"{params.epochs - 1}"
            )
    return _with_quantized(params, result) if params.quantization_aware else result


def _with_quantized(params: Train, phases: list[Phase]) -> list[Phase]:
    """The phases, the last of which is divided: its last epochs round.

    The rate falls in both together as it would without rounding.
    """
    (*others, last), first = phases, params.epochs - params.quantized_epochs
    quantized = replace(
        last, first=first, learning_rate=QUANTIZED_RATE * last.learning_rate, quantized=True
    )
    return [*others, replace(last, last=first, horizon=last.last), quantized]


def freeze(params: Train, model: keras.Model, count: int) -> None:
    """Freezes the first `count` layers and thaws the others, for the next `compile`.

    Batch normalization of a backbone stays frozen: a few thousand images give worse statistics than
    the millions that it was trained on. Raises UserError if no layer would be left to train.
    """
    groups = layers(model)
    if count >= len(groups):
        raise UserError(
            f"freezing {count} of {counted(len(groups), 'layer')} "
            f"leaves nothing to train; expected 0 to {len(groups) - 1}"
        )
    for number, group in enumerate(groups):
        for layer in group:
            is_normalization = isinstance(layer, keras.layers.BatchNormalization)
            is_fixed = params.starts_from_a_backbone and is_normalization
            layer.trainable = number >= count and not is_fixed
