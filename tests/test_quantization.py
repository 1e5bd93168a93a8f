"""Quantized files: the ranges of inner tensors, and biases that keep their means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.files.artifacts import Array
from tests.conftest import EDGEPROOF, Project

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.filterwarnings("ignore")]


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
        read
        for (name, *shape), read in quantization.items()
        if "rescaling" in name and shape == [1, 12, 12, 3]
    }
    assert pixels == {(1 / 128, -128), (1 / 128, -1)}  # all 256 values of a pixel stay apart


def depthwise_network(shape: tuple[int, ...]) -> Any:
    """Three depthwise blocks with the weights of a fresh network, and biases."""
    import keras

    keras.utils.set_random_seed(0)
    x = image = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128)(x)
    for _ in range(3):
        x = keras.layers.Conv2D(16, 1, activation="relu6")(x)
        x = keras.layers.DepthwiseConv2D(3, activation="relu6")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    for weight in model.trainable_weights:
        weight.assign(weight + 0.1)
    return model


def test_corrected_biases_give_channels_the_mean_that_they_have_in_float() -> None:
    import tensorflow as tf

    from pipeline.formats import _bias_correction, _calibration

    images = np.random.default_rng(0).integers(0, 256, (32, 12, 12, 3), np.uint8)
    calibrated = _calibration.calibrated(depthwise_network(images.shape[1:]), images)
    before = _calibration.quantized(calibrated, tf.uint8, [])
    after = _bias_correction.corrected(before, calibrated, images)
    assert len(after) == len(before)
    expected = _bias_correction._float_means(calibrated, images)
    assert total_shift(after, expected, images) < 0.5 * total_shift(before, expected, images)


def test_layers_whose_values_are_out_of_range_are_named_with_the_cure() -> None:
    from pipeline.formats import tflite_float32, tflite_int8
    from pipeline.search import compared_layers
    from pipeline.search import explain_quantization as explanation

    images = 255 * np.random.default_rng(0).integers(0, 2, (40, 12, 12, 3), np.uint8)
    model, _ = residual_network(images)
    float32 = tflite_float32.convert(model, images)
    flat = np.linspace(0, 255, 40).astype(np.uint8)[:, None, None, None]
    flat = np.broadcast_to(flat, images.shape)  # without contrast, the maps stay small
    whole, narrow = (
        compared_layers.compare(float32, tflite_int8.convert(model, rows), images)
        for rows in (images, flat)
    )
    assert max(layer.clipped for layer in whole.layers) < 0.001
    by_name = {layer.name: layer for layer in narrow.layers}
    assert by_name["first"].clipped > 0.01
    assert (
        by_name["first"].decibels < {layer.name: layer for layer in whole.layers}["first"].decibels
    )
    first = explanation.cures(replace(narrow, different=3), 500, ["tflite_dynamic"])[0]
    assert "first" in first
    assert first.endswith("set export.calibration_images to 1000")
    assert not explanation.cures(replace(narrow, different=0), 500, [])
    worse = explanation.cures(replace(narrow, different=3), 500, [], is_worse=True)
    named = [cure for cure in worse if "train.quantization_aware" in cure]
    assert len(named) == 1
    others = explanation.cures(replace(narrow, different=3), 500, [])
    assert others == [cure for cure in worse if cure not in named]
    assert "validation images differently" in explanation.verdict(narrow)


def test_the_command_explains_the_files_of_a_run_and_refuses_without_them(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    printed = project.run(*EDGEPROOF, "explain-quantization")
    page = (project.folder / "reports" / "quantization.md").read_text(encoding="utf-8")
    sentence = next(line for line in printed.splitlines() if "validation images" in line)
    assert "quantization_aware" not in printed  # the gate shows no loss to win back
    assert f"**{sentence}**" in page
    assert "| probabilities |" in page
    assert "## Each layer in float in turn" in page
    assert "of the probability to other classes than float32" in printed
    project.run(*EDGEPROOF, "explain-quantization", "--images", "0")
    assert "in float" not in (project.folder / "reports" / "quantization.md").read_text()
    failed = project.attempt(*EDGEPROOF, "explain-quantization", "--images", "-1")
    assert "--images is -1; expected an integer of at least 0" in failed.stderr
    report = project.folder / "reports" / "export.json"
    report.write_text(report.read_text().replace('"tflite_int8"', '"other"'))
    failed = project.attempt(*EDGEPROOF, "explain-quantization")
    assert failed.returncode != 0
    assert "exported/ has no tflite_int8" in failed.stderr
    assert "Traceback" not in failed.stderr


def total_shift(data: bytes, expected: dict[bytes, Array], images: Array) -> float:
    """How far the channels of all layers are from their means in float32, in steps of int8."""
    import tflite

    from pipeline.formats import _bias_correction

    graph = tflite.Model.GetRootAsModel(data, 0).Subgraphs(0)
    shift = 0.0
    for index in range(graph.OperatorsLength()):
        output = graph.Operators(index).Outputs(0)
        tensor = graph.Tensors(output)
        if b"conv" in tensor.Name().lower() and tensor.Name() in expected:
            mean = _bias_correction._mean(data, graph, output, images)
            steps = (mean - expected[tensor.Name()]) / tensor.Quantization().Scale(0)
            shift += float(np.abs(steps).sum())
    return shift


def test_a_network_without_depthwise_convolutions_has_the_biases_of_the_converter() -> None:
    import tensorflow as tf

    from pipeline.formats import _bias_correction, _calibration

    images = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3), np.uint8)
    model, _ = residual_network(images)
    calibrated = _calibration.calibrated(model, images)
    quantized = _calibration.quantized(calibrated, tf.uint8, [])
    assert _bias_correction.corrected(quantized, calibrated, images) == quantized


def test_a_file_with_its_card_has_short_names_and_gives_the_same_answers() -> None:
    import tflite
    from ai_edge_litert.interpreter import Interpreter

    from pipeline.formats import _metadata, tflite_int8

    images = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), np.uint8)
    before = tflite_int8.convert(depthwise_network(images.shape[1:]), images)
    after = _metadata.embed(before, ".tflite", b"{}")
    assert len(after) < len(before)
    graph = tflite.Model.GetRootAsModel(after, 0).Subgraphs(0)
    written = {graph.Operators(index).Outputs(0) for index in range(graph.OperatorsLength())}
    names = [graph.Tensors(index).Name().decode() for index in range(graph.TensorsLength())]
    assert not any(";" in name for name in names)
    assert all(names[index] for index in written)
    assert len({names[index] for index in written}) == len(written)
    answers = []
    for data in (before, after):
        runner = Interpreter(model_content=data).get_signature_runner()
        answers.append([runner(image=image[None])["probabilities"] for image in images])
    assert np.array_equal(answers[0], answers[1])
