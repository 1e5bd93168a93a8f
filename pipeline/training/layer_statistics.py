"""How the layers of a network are doing on a batch: dead and saturated units, and how much gradient reaches the first layer.

The symptoms are those of Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
(AISTATS 2010): activations that saturate at the start, and gradients that vanish on the way down.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pipeline.files.artifacts import Array

SATURATED = 0.01  # a bounded unit this close to an end of its range passes next to no gradient on


def measure(
    model: keras.Model, inputs: Array, targets: Array, loss: keras.losses.Loss
) -> dict[str, float]:
    """Fractions 0 to 1 over a batch of inputs (N, ...) and what the loss compares with, the model as it is in training:

    `dead_units`: rectified units that are zero for every image, in the worst layer;
    `saturated_units`: outputs of bounded units at an end of their range, in the worst layer;
    `gradient_ratio`: root mean square of the loss's gradient in the first layer of weights over that in the last.

    The model and the states of its random generators stay as they are.
    """
    rectified, bounded = _watched(model)
    found, outputs = gradients(
        model, [layer.output for layer in [*rectified, *bounded]], loss, (inputs, targets)
    )
    activations = [keras.ops.convert_to_numpy(output) for output in outputs]
    dead = [_dead(values) for values in activations[: len(rectified)]]
    saturated = [
        _saturated(values, _function(layer))
        for values, layer in zip(activations[len(rectified) :], bounded, strict=True)
    ]
    sizes = [float(np.sqrt(np.mean(np.square(gradient)))) for gradient in found]
    return {
        "dead_units": max(dead, default=0.0),
        "saturated_units": max(saturated, default=0.0),
        "gradient_ratio": sizes[0] / sizes[-1] if sizes and sizes[-1] else 0.0,
    }


def _function(layer: keras.Layer) -> str:
    return (
        "relu"
        if isinstance(layer, keras.layers.ReLU)
        else getattr(getattr(layer, "activation", None), "__name__", "")
    )


def _watched(model: keras.Model) -> tuple[list[keras.Layer], list[keras.Layer]]:
    layers = [layer for layer in model.layers if _function(layer)]
    rectified = [layer for layer in layers if _function(layer) in ("relu", "relu6")]
    return rectified, [
        layer for layer in layers if _function(layer) in ("tanh", "sigmoid", "softmax")
    ]


def _dead(values: Array) -> float:
    """The fraction of units, or of a convolution's channels, that are zero everywhere."""
    return float((values.reshape(-1, values.shape[-1]).max(0) <= 0).mean())


def _saturated(values: Array, function: str) -> float:
    if function == "softmax":
        return float((values.max(-1) > 1 - SATURATED).mean())
    low = -1.0 if function == "tanh" else 0.0
    distance = np.minimum(values - low, 1.0 - values) / (1.0 - low)
    return float((distance < SATURATED).mean())


def gradients(
    model: keras.Model, outputs: list[Any], loss: keras.losses.Loss, batch: tuple[Array, Array]
) -> tuple[list[Array], list[Any]]:
    """The gradient of the loss in each matrix or kernel of weights, first to last, and the values of `outputs`."""
    probe = keras.Model(
        model.inputs[0] if len(model.inputs) == 1 else model.inputs, [model.outputs[0], *outputs]
    )
    trainable = [variable.value for variable in probe.trainable_variables]
    fixed = [variable.value for variable in probe.non_trainable_variables]

    def total(values: list[Any]) -> tuple[Any, list[Any]]:
        (probabilities, *watched), _ = probe.stateless_call(values, fixed, batch[0], training=True)
        return loss(batch[1], probabilities), watched

    if keras.backend.backend() == "jax":
        import jax

        found, watched = jax.grad(total, has_aux=True)(trainable)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tensors = [tf.convert_to_tensor(value) for value in trainable]
            tape.watch(tensors)
            value, watched = total(tensors)
        found = tape.gradient(value, tensors)
    kernels = [
        keras.ops.convert_to_numpy(gradient) for gradient in found if len(gradient.shape) > 1
    ]
    return kernels, watched
