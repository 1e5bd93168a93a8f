"""Weights of four bits: how they are rounded, and files with them in every runtime and in C."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from pipeline.files.artifacts import Array
from tests.conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.filterwarnings("ignore")]

FORMAT = "tflite_int4"


def network(shape: tuple[int, ...], **dense: Any) -> Any:
    """Convolutions of every kind, and a dense layer, with fresh weights and some biases."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(8, 3, padding="same", strides=2, activation="relu", name="same")(x)
    x = keras.layers.Conv2D(8, (3, 2), dilation_rate=(2, 1), activation="relu", name="dilated")(x)
    x = keras.layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    x = keras.layers.Conv2D(8, 3, groups=2, padding="same", activation="relu", name="groups")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", **dense)(x))
    for weight in model.trainable_weights:
        weight.assign(weight + 0.02)
    return model


@pytest.fixture(scope="module")
def images() -> Array:
    """Smooth random images, whose neighbouring pixels are alike as in a photo."""
    coarse = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3))
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)


@pytest.fixture(scope="module")
def int8(images: Array) -> bytes:
    from pipeline.formats import tflite_int8

    return tflite_int8.convert(network(images.shape[1:]), images)


@pytest.fixture(scope="module")
def int4(int8: bytes, images: Array) -> bytes:
    from pipeline.formats import _four_bits

    return _four_bits.rounded(int8, images)


def types(data: bytes) -> list[tuple[str, str]]:
    """The operators with weights, and the type of their weights."""
    from pipeline.embedded._integer_c.network import read

    return [
        (operator.name, operator.inputs[1].dtype)
        for operator in read(data).operators
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    ]


def test_convolutions_and_dense_layers_have_four_bits_and_what_few_runtimes_read_has_eight(
    int4: bytes, int8: bytes
) -> None:
    assert types(int8) == [(name, "int8") for name, _ in types(int4)]
    assert types(int4) == [
        ("CONV_2D", "int4"),
        ("CONV_2D", "int4"),
        ("DEPTHWISE_CONV_2D", "int8"),
        ("CONV_2D", "int8"),  # in groups
        ("FULLY_CONNECTED", "int4"),
    ]
    assert len(int4) < len(int8)
    assert b"2.11.0" in int4


def test_weights_are_rounded_so_that_the_outputs_change_less_than_with_the_nearest(
    int8: bytes, images: Array
) -> None:
    from tensorflow.lite.tools import flatbuffer_utils

    from pipeline.formats import _four_bits

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(int8))
    for layer in filter(_four_bits._takes_four_bits, _four_bits._layers(model)):
        inputs, weights = _four_bits._inputs(layer, images).astype(np.float64), layer.weights()
        squares = np.square(inputs).mean(0)
        scales = _four_bits._scales(weights, squares, layer.kernel.quantization.scale)
        exact, count = inputs @ weights.T, len(inputs)
        errors = {
            rounding: np.linalg.norm(inputs @ (integers * scales).T - exact)
            for rounding, integers in {
                "nearest": _four_bits._nearest(weights / scales),
                "compensated": _four_bits._compensated(weights / scales, inputs.T @ inputs / count),
            }.items()
        }
        assert errors["compensated"] < 0.8 * errors["nearest"]


def test_the_measured_windows_are_those_that_the_filter_meets(int8: bytes, images: Array) -> None:
    """Their products with the weights are the sums that LiteRT scales to the layer's outputs."""
    from tensorflow.lite.tools import flatbuffer_utils

    from pipeline.formats import _four_bits
    from pipeline.runtimes import inner_tensors

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(int8))
    for layer in filter(_four_bits._takes_four_bits, _four_bits._layers(model)):
        (index,) = layer.operator.outputs
        output = layer.tensors[index].quantization
        windows = _four_bits._inputs(layer, images[:1]).astype(np.float64)
        step = layer.source.quantization.scale[0]
        (bias,) = layer.biases
        biases = layer.values(bias, np.int32) * np.asarray(bias.quantization.scale)
        real = windows @ layer.weights().T * step + biases
        expected = np.round(real / output.scale[0]) + output.zeroPoint[0]
        (values,) = inner_tensors.read(int8, [index], images[:1])
        written = {tuple(row) for row in values[index].reshape(-1, real.shape[1]).tolist()}
        for row in expected.clip(-128, 127).astype(int):
            assert min(np.abs(np.subtract(row, other)).max() for other in written) <= 1


def test_a_file_gives_the_bytes_of_one_with_the_same_weights_in_int8(
    int4: bytes, images: Array
) -> None:
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    from pipeline.runtimes.four_bits import unpacked

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(int4))
    for tensor in model.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT4:
            buffer = model.buffers[tensor.buffer]
            values = unpacked(bytes(buffer.data), tuple(tensor.shape))
            assert np.abs(values).max() == 7
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            tensor.type = schema.TensorType.INT8
    wide = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    answers = []
    for data in (int4, wide):
        runner = Interpreter(model_content=data).get_signature_runner()
        answers.append([runner(image=image[None])["probabilities"] for image in images])
    packed, one_to_a_byte = answers
    # XNNPACK has no kernels for four bits, and others round otherwise.
    assert np.abs(np.subtract(packed, one_to_a_byte)).max() <= 1 / 256


def test_equal_files_are_rounded_alike(int4: bytes, int8: bytes, images: Array) -> None:
    from pipeline.formats import _four_bits

    assert _four_bits.rounded(int8, images) == int4


def test_a_filter_without_weights_still_gives_its_bias(images: Array) -> None:
    from pipeline.formats import _four_bits, tflite_int8

    model = network(images.shape[1:])
    for name in ("same", "dilated"):
        kernel, bias = model.get_layer(name).weights
        kernel.assign(kernel * np.arange(8).clip(0, 1))
        bias.assign(bias + 0.1)
    data = tflite_int8.convert(model, images)
    answers = []
    for content in (data, _four_bits.rounded(data, images)):
        runner = Interpreter(model_content=content).get_signature_runner()
        answers.append(runner(image=images[:1])["probabilities"])
    eight, four = answers
    assert np.abs(eight - four).max() < 0.1


def test_a_shared_constant_keeps_eight_bits(int8: bytes, images: Array) -> None:
    from tensorflow.lite.tools import flatbuffer_utils

    from pipeline.formats import _four_bits

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(int8))
    first, *others = _four_bits._layers(model)
    others[0].operator.inputs = [*others[0].operator.inputs[:2], first.operator.inputs[2]]
    assert first.operator not in [layer.operator for layer in _four_bits._layers(model)]


def test_the_line_proves_the_file_in_every_runtime_and_makes_everything_for_devices_of_it(
    finished: Project, run_stages: Callable[..., None], tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    project.change({"export.formats": [FORMAT], "embed.format": FORMAT})
    run_stages(project, "export", "verify", "embed", "package")
    reports = project.folder / "reports"
    pairs = [
        pair
        for pair in json.loads((reports / "verify.json").read_text())["pairs"]
        if pair["format"] == FORMAT and pair["processor"] == "native"
    ]
    assert {pair["runtime"] for pair in pairs} == {"tflite_runtime", "litert", "tflite_micro"}
    assert all(pair["state"] in ("proven", "not shown") for pair in pairs)
    targets = json.loads((reports / "embed.json").read_text())["targets"]
    assert [(row["format"], "refused" in row) for row in targets] == [(FORMAT, False)] * 3
    for row in targets:
        if row["target"] != "microcontroller":
            assert row["measured"]["images_equal_to_micro"] > 0
