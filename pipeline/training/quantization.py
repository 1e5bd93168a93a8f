"""Quantization-aware training: a network that rounds as its int8 file will.

A weight has 255 steps, with a range for each channel, and an activation 256, with a range for each
map. Gradients pass through the rounding as if it were not there (Jacob et al., 2018, CVPR, arXiv
1712.05877). Batch normalization is folded into the kernel before that is rounded, as on export,
with the statistics that it has by then. The range of an activation is a moving average over
batches.

The weights go back into the plain network, which is what is saved, and the ranges beside it: the
int8 file takes both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from pipeline.training.keras_files import Ranges

STEPS = 255  # from the lowest to the highest value of an activation
MAGNITUDES = 127  # of a weight: symmetric, so -128 is not used
MOMENTUM = 0.99  # of the averages over batches
LEAST = 1e-6  # a range of one value would have no steps
# Layers whose outputs are among their inputs, so they keep their steps.
PASSING = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.Flatten,
    layers.Reshape,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
)
EXACT = (layers.InputLayer, layers.Rescaling)  # raw values are integers


class RoundedOutputs(layers.Layer):
    """Rounds to 256 steps between the lowest and the highest value, averaged over batches."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.low, self.high, self.seen = (
            self.add_weight(shape=(), initializer="zeros", trainable=False, name=part)
            for part in ("low", "high", "seen")
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if training:
            keep = MOMENTUM * self.seen
            for bound, extreme in (
                (self.low, ops.minimum(ops.min(inputs), 0.0)),
                (self.high, ops.maximum(ops.max(inputs), 0.0)),
            ):
                bound.assign(keep * bound + (1 - keep) * extreme)
            self.seen.assign(1.0)
        step = ops.maximum(self.high - self.low, LEAST) / STEPS
        lowest = ops.round(self.low / step) * step  # so that zero is one of the steps
        return rounded(ops.clip(inputs, lowest, lowest + STEPS * step), step)


def rounded(values: Any, step: Any) -> Any:
    """Multiples of `step`, with the gradient of `values`."""
    return values + ops.stop_gradient(ops.round(values / step) * step - values)


class RoundedWeights:
    """Mixed into a layer with a kernel, which it rounds."""

    channels: int | None  # the axis of the kernel that has a range for each index
    factor: Callable[[], Any] | None = None  # by which batch normalization multiplies the channels

    def call(self, inputs: Any) -> Any:
        kernel = self.kernel  # type: ignore[attr-defined]
        values = [
            (weight, self.rounded_kernel(weight) if weight is kernel else weight.value)
            for weight in self.weights  # type: ignore[attr-defined]
        ]
        with keras.StatelessScope(state_mapping=values):
            return super().call(inputs)  # type: ignore[misc]

    def rounded_kernel(self, kernel: Any) -> Any:
        factor = 1.0 if self.factor is None else self.factor()
        if self.factor is not None and self.channels == -2:
            factor = ops.reshape(factor, kernel.shape[-2:])
        folded = kernel * factor
        axes = [axis for axis in range(-len(kernel.shape), 0) if axis != self.channels]
        largest = ops.max(ops.abs(folded), axis=axes, keepdims=True)
        step = ops.stop_gradient(ops.maximum(largest, LEAST)) / MAGNITUDES
        return rounded(folded, step) / factor


class RoundedConv2D(RoundedWeights, layers.Conv2D):
    channels = -1


class RoundedDepthwiseConv2D(RoundedWeights, layers.DepthwiseConv2D):
    channels = -2


class RoundedDense(RoundedWeights, layers.Dense):
    channels = None  # one range for the kernel, which every version of the runtimes reads


class FixedBatchNormalization(layers.BatchNormalization):
    """Keeps its statistics, which are part of the rounded kernel."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return super().call(inputs, training=False, mask=mask)

    def factor(self) -> Any:
        """By what it multiplies each channel."""
        scale = 1.0 if self.gamma is None else self.gamma
        factor = scale * ops.rsqrt(self.moving_variance + self.epsilon)
        return ops.where(ops.abs(factor) < LEAST, LEAST, factor)


ROUNDED: dict[type, Any] = {
    layers.Conv2D: RoundedConv2D,
    layers.DepthwiseConv2D: RoundedDepthwiseConv2D,
    layers.Dense: RoundedDense,
}


def aware(model: keras.Model) -> keras.Model:
    """A copy of `model` with the same weights whose layers round as the int8 file will."""
    plain = keras.Model(model.inputs, model.outputs, name=model.name)
    after = consumers(plain)
    pointed = set(points(plain))

    def replaced(layer: keras.Layer) -> Any:
        kind: Any = ROUNDED.get(type(layer), type(layer))
        if isinstance(layer, layers.BatchNormalization):
            kind = FixedBatchNormalization
        return kind.from_config(layer.get_config())

    def called(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        outputs = layer(*inputs, **options)
        return RoundedOutputs(range_name(layer.name))(outputs) if layer.name in pointed else outputs

    result = keras.models.clone_model(plain, clone_function=replaced, call_function=called)
    copy_weights(plain, result)
    for name, followers in after.items():
        layer = result.get_layer(name)
        normalized = [part for part in followers if isinstance(part, layers.BatchNormalization)]
        if isinstance(layer, RoundedWeights) and len(followers) == 1 and normalized:
            layer.factor = result.get_layer(followers[0].name).factor
    return result


def range_name(layer: str) -> str:
    return f"{layer}_range"


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies the weights of layers that both models have, by their names."""
    names = {layer.name for layer in target.layers}
    for layer in source.layers:
        if layer.weights and layer.name in names:
            target.get_layer(layer.name).set_weights(layer.get_weights())


def ranges(aware_model: keras.Model) -> Ranges:
    """The range of each layer whose outputs are rounded, and of those that only pass them on."""
    result: Ranges = {}
    for layer in aware_model.layers:
        if isinstance(layer, RoundedOutputs):
            name = layer.name.removesuffix(range_name(""))
            result[name] = float(layer.low.value), float(layer.high.value)
            waiting = [layer]
            while waiting:
                followers = consumers(aware_model)[waiting.pop().name]
                passing = [follower for follower in followers if isinstance(follower, PASSING)]
                result |= dict.fromkeys((follower.name for follower in passing), result[name])
                waiting += passing
    return result


def points(model: keras.Model) -> list[str]:
    """The layers after which the int8 file rounds: not those that are fused with the next one.

    The output itself has steps of 1/256 in any file.
    """
    after = consumers(model)
    return [
        layer.name
        for layer in model.layers
        if after[layer.name]
        and not isinstance(layer, (*EXACT, *PASSING))
        and not is_fused(layer, after[layer.name])
    ]


def is_fused(layer: keras.Layer, followers: list[keras.Layer]) -> bool:
    """Whether the only layer that follows is part of the same operator."""
    if len(followers) != 1:
        return False
    (follower,) = followers
    if isinstance(layer, layers.BatchNormalization):
        return is_clipping(follower)
    is_linear = getattr(layer, "activation", None) is keras.activations.linear
    has_weights = type(layer) in ROUNDED and is_linear
    return has_weights and (
        isinstance(follower, layers.BatchNormalization) or is_clipping(follower)
    )


def is_clipping(layer: keras.Layer) -> bool:
    """Whether it is ReLU or ReLU6."""
    if isinstance(layer, layers.ReLU):
        return layer.max_value in (None, 6) and not layer.negative_slope and not layer.threshold
    clipping = (keras.activations.relu, keras.activations.relu6)
    return isinstance(layer, layers.Activation) and layer.activation in clipping


def consumers(model: keras.Model) -> dict[str, list[keras.Layer]]:
    """The layers that take the outputs of each layer, by its name."""
    inside = {id(layer) for layer in model.layers}
    return {
        layer.name: list(
            {
                id(node.operation): node.operation
                for node in layer._outbound_nodes
                if id(node.operation) in inside
            }.values()
        )
        for layer in model.layers
    }
