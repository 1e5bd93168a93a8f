"""Layer statistics on a batch: dead and saturated units, and the gradient in the first layer.

The symptoms are those of Glorot and Bengio, "Understanding the difficulty of training deep
feedforward neural networks" (AISTATS 2010): activations that saturate at the start, and gradients
that vanish on the way to the first layer.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from pipeline.files.artifacts import Array

RECTIFIED = ("relu", "relu6")
BOUNDED = ("tanh", "sigmoid", "softmax")
MEMORY = 2**28  # bytes of outputs of all layers; their gradients take about as much again
SATURATED = 0.01  # a bounded unit this close to an end of its range passes hardly any gradient


def affordable(model: keras.Model) -> int:
    """How many inputs may be measured together: the gradient needs the outputs of all layers."""
    outputs = [output for layer in model.layers for output in keras.tree.flatten(layer.output)]
    values = sum(math.prod(output.shape[1:]) for output in outputs)
    return max(1, MEMORY // (values * np.dtype(np.float32).itemsize))


def measure(
    model: keras.Model, inputs: Array, targets: Array, loss: keras.losses.Loss
) -> dict[str, float]:
    """Statistics of the model in training mode, on a batch of inputs (N, ...) and loss targets.

    `dead_units`: fraction of rectified units that are zero for every image, in the worst layer;
    `saturated_units`: fraction of bounded outputs at an end of their range, in the worst layer;
    `gradient_ratio`: root mean square of the loss's gradient in the first layer of weights,
    divided by that in the last.

    The model and the states of its random generators do not change.
    """
    rectified = [layer for layer in model.layers if _function(layer) in RECTIFIED]
    bounded = [layer for layer in model.layers if _function(layer) in BOUNDED]
    outputs = [layer.output for layer in [*rectified, *bounded]]
    kernel_gradients, values = gradients(model, outputs, loss, (inputs, targets))
    activations = [keras.ops.convert_to_numpy(value) for value in values]
    dead = [_dead(activation) for activation in activations[: len(rectified)]]
    saturated = [
        _saturated(activation, _function(layer))
        for activation, layer in zip(activations[len(rectified) :], bounded, strict=True)
    ]
    sizes = [float(np.sqrt(np.mean(np.square(gradient)))) for gradient in kernel_gradients]
    return {
        "dead_units": max(dead, default=0.0),
        "saturated_units": max(saturated, default=0.0),
        "gradient_ratio": sizes[0] / sizes[-1] if sizes and sizes[-1] else 0.0,
    }


def _function(layer: keras.Layer) -> str:
    """The name of the layer's activation function; empty if it has none."""
    if isinstance(layer, keras.layers.ReLU):
        return "relu"
    return getattr(getattr(layer, "activation", None), "__name__", "")


def _dead(values: Array) -> float:
    """The fraction of units, or channels of a convolution, that are zero everywhere."""
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
    """The gradient of the loss in each kernel, first layer to last, and the values of `outputs`."""
    probe = keras.Model(
        model.inputs[0] if len(model.inputs) == 1 else model.inputs, [model.outputs[0], *outputs]
    )
    trainable = [variable.value for variable in probe.trainable_variables]
    fixed = [variable.value for variable in probe.non_trainable_variables]

    def total(values: list[Any]) -> tuple[Any, list[Any]]:
        results, _ = probe.stateless_call(values, fixed, batch[0], training=True)
        # Keras gives the only output of a model as it is
        probabilities, *watched = results if outputs else [results]
        return loss(batch[1], probabilities), watched

    if keras.backend.backend() == "jax":
        import jax

        result, watched = jax.jit(jax.grad(total, has_aux=True))(trainable)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tensors = [tf.convert_to_tensor(value) for value in trainable]
            tape.watch(tensors)
            value, watched = total(tensors)
        result = tape.gradient(value, tensors)
    kernels = [gradient for gradient in result if len(gradient.shape) > 1]  # biases have one axis
    return [keras.ops.convert_to_numpy(gradient) for gradient in kernels], watched
