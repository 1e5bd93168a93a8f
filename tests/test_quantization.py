"""Quantized files: the ranges that their inner tensors are quantized by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.files.artifacts import Array

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def residual_network(images: Array) -> tuple[Any, Array]:
    """A network that adds the first map to a smaller one, and the smaller one for these images."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input(images.shape[1:])
    scaled = keras.layers.Rescaling(1 / 128, offset=-127 / 128)(image)
    first = keras.layers.Conv2D(8, 3, padding="same", name="first")(scaled)
    hidden = keras.layers.Conv2D(8, 1, activation="relu", name="hidden")(first)
    branch = keras.layers.Conv2D(8, 1, name="branch")(hidden)
    features = keras.layers.Add(name="sum")([branch, first])
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    outputs = keras.layers.Dense(2, activation="softmax")(pooled)
    model = keras.Model(image, outputs)
    model.get_layer("branch").kernel.assign(0.1 * model.get_layer("branch").kernel)
    branches = keras.Model(image, branch).predict_on_batch(images)
    return model, branches


def test_the_range_of_a_tensor_is_that_before_the_next_operator_overwrites_it() -> None:
    from ai_edge_litert.interpreter import Interpreter

    from pipeline.formats import tflite_int8

    images = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = 0, 255
    model, branches = residual_network(images)
    interpreter = Interpreter(model_content=tflite_int8.convert(model, images))
    quantization = {
        (row["name"], *row["shape"]): row["quantization"]
        for row in interpreter.get_tensor_details()
    }
    (scale,) = (
        scale
        for (name, *shape), (scale, _) in quantization.items()
        if "branch" in name and shape == [1, 12, 12, 8]
    )
    span = max(branches.max(), 0) - min(branches.min(), 0)
    assert scale == pytest.approx(span / 255, rel=1e-3)
    pixels = {
        found
        for (name, *shape), found in quantization.items()
        if "rescaling" in name and shape == [1, 12, 12, 3]
    }
    assert pixels == {(1 / 128, -128), (1 / 128, -1)}  # all 256 values of a pixel stay apart
