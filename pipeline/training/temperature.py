"""One temperature makes a trained model's confidences true, as part of its last layer.

Temperature scaling (Guo et al., 2017, On Calibration of Modern Neural Networks, ICML): the logits
are divided by the one number that gives the least cross-entropy on the validation set. No answer
changes. Dividing the weights of the last layer does the same, so every exported file, every runtime
and the C code have it without knowing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from scipy.optimize import minimize_scalar

from pipeline.config.parts import is_number
from pipeline.files.artifacts import Array
from pipeline.reporting import calibration
from pipeline.training import keras_files
from pipeline.training.batches import Split

# Validation examples. A temperature fitted to fewer can be worse than none: over 60 draws from the
# outputs of seven models of MNIST, ten examples raise the cross-entropy by up to 71 % on average,
# twenty by up to 12 %, fifty by at most 2 % and lower it by up to 48 %.
FEWEST = 50
HIGHEST = 100.0  # and 1 / HIGHEST is the lowest temperature
LEAST = np.float32(np.finfo(np.float32).tiny)  # a probability whose logarithm is still a number
# What may follow the last weights, as in `architectures/_layers.probabilities`.
WITHOUT_WEIGHTS = (layers.Flatten, layers.Reshape, layers.Softmax, layers.ZeroPadding1D)
ACTIVATIONS = ("softmax", "sigmoid", "linear")


@dataclass(frozen=True)
class Calibrated:
    """What became of a model's outputs on the validation set.

    `probabilities` (N, K) are those that it gives now, `error` is their expected calibration error,
    and `error_before` that before. `temperature` is None if the model was left as it was.
    """

    temperature: float | None
    error_before: float | None
    error: float | None
    probabilities: Array


def calibrate(model: keras.Model, validation: Split, target: str = "classes") -> Calibrated:
    """Fits the temperature, and folds it into the model, if that has a layer for it.

    With fewer than FEWEST examples, the temperature stays 1.

    A number has no confidence, so its model stays as it is and there is no calibration error.
    """
    images, labels = validation[0], np.asarray(validation[1])
    if is_number(target):
        return Calibrated(None, None, None, keras_files.probabilities(model, images))
    as_it_is = measure(model, validation)
    error, before = as_it_is.error, as_it_is.probabilities
    layer = output_layer(model)
    if layer is None or len(labels) < FEWEST:
        return as_it_is
    temperature = fit(before, labels)
    layer.set_weights([weights / np.float32(temperature) for weights in layer.get_weights()])
    after = keras_files.probabilities(model, images)
    return Calibrated(temperature, error, calibration.error(after, labels), after)


def measure(model: keras.Model, validation: Split) -> Calibrated:
    """The outputs of a model that stays as it is."""
    probabilities = keras_files.probabilities(model, validation[0])
    error = calibration.error(probabilities, np.asarray(validation[1]))
    return Calibrated(None, error, error, probabilities)


def output_layer(model: keras.Model) -> Any | None:
    """The dense layer that gives the logits; None if the model ends in another way."""
    for layer in reversed(model.layers):
        if isinstance(layer, layers.Dense):
            activation = keras.activations.serialize(layer.activation)
            return layer if activation in ACTIVATIONS else None
        if not isinstance(layer, WITHOUT_WEIGHTS):
            return None
    return None


def fit(probabilities: Array, labels: Array) -> float:
    """The temperature for these outputs (N, K) and labels (N,), or (N, K) if there are several.

    The right class counts as (M + 1) / (M + 2) of M decisions, and the others share the rest
    (Platt, 1999, Probabilistic Outputs for Support Vector Machines). Without that, a model that is
    right on all of a small validation set would become infinitely sure of itself.
    """
    distributions, labels = calibration.decisions(probabilities, labels)
    logits = np.log(np.maximum(distributions, LEAST), dtype=np.float64)
    count, classes = logits.shape
    targets = np.full(logits.shape, 1 / (count + 2) / max(classes - 1, 1))
    targets[np.arange(count), labels] = (count + 1) / (count + 2)
    logits -= logits.max(1, keepdims=True)
    fitting = (targets * logits).sum(1).mean()

    def cross_entropy(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float(np.log(np.exp(scale * logits).sum(1)).mean() - scale * fitting)

    bound = np.log(HIGHEST)
    minimum = minimize_scalar(cross_entropy, bounds=(-bound, bound), method="bounded")
    return float(np.exp(minimum.x))
