"""`edgeproof explain-quantization`: each layer in turn in float, and all others in int8."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils

from pipeline.files.artifacts import Array
from pipeline.search import explain_quantization, float_in_turn
from pipeline.search.compared_layers import QuantizationLoss
from pipeline.search.float_in_turn import Answers, FloatInTurn, LayerInFloat
from pipeline.search.simulated_int8 import SimulatedInt8, layer_name
from pipeline.targets import classes

SHAPE = (12, 12, 3)


def images(count: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8)


def network(layers: Iterable[Any], scaling: tuple[float, float] = (1 / 128, -127 / 128)) -> Any:
    """Of layers one after the other, and with confident answers."""
    import keras

    keras.utils.set_random_seed(0)
    x = image = keras.Input(SHAPE)
    x = keras.layers.Rescaling(*scaling)(x)
    for layer in layers:
        x = layer(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    answer = keras.layers.Dense(4, activation="softmax", name="answer")(x)
    model = keras.Model(image, answer, name="network")
    kernel = model.get_layer("answer").kernel
    kernel.assign(20 * kernel)
    return model


def plain(filters: int = 16) -> Any:
    import keras

    names = ("first", "second", "third")
    return network(keras.layers.Conv2D(filters, 3, activation="relu", name=name) for name in names)


def unequal() -> Any:
    """Two channels of the second layer are 300 times as large, and the third ignores them."""
    model = plain()
    kernel, bias = model.get_layer("second").get_weights()
    kernel[..., :2] *= 300
    model.get_layer("second").set_weights([kernel, bias])
    kernel, bias = model.get_layer("third").get_weights()
    kernel[:, :, :2] = 0
    model.get_layer("third").set_weights([kernel, bias])
    return model


def separable() -> Any:
    """Its biases are corrected in the int8 file."""
    import keras

    layers: list[Any] = []
    for _ in range(2):
        layers.append(keras.layers.Conv2D(16, 1, activation="relu6"))
        layers.append(keras.layers.DepthwiseConv2D(3, activation="relu6"))
        layers.append(keras.layers.MaxPooling2D(2))
    return network(layers)


def files(model: Any) -> tuple[bytes, bytes]:
    """As `export` writes them."""
    from pipeline.formats import _metadata, tflite_float32, tflite_int8

    calibration = images(100)
    float32, int8 = (
        _metadata.embed(made.convert(model, calibration), ".tflite", b"{}")
        for made in (tflite_float32, tflite_int8)
    )
    return float32, int8


def tried(model: Any) -> FloatInTurn:
    labels = np.zeros(300, int)
    result = float_in_turn.tried(
        *files(model), images(400)[100:], lambda outputs: classes.losses(outputs, labels)
    )
    assert isinstance(result, FloatInTurn), result
    return result


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_the_layer_that_was_made_bad_on_purpose_is_named() -> None:
    result, good = tried(unequal()), tried(plain())
    share = float(result.file.moved.mean())
    assert share > 10 * good.file.moved.mean()
    assert result.error < 0.05 * share  # of the simulation
    worst, next_worst = result.layers[:2]
    assert worst.name == "second"
    assert worst.is_shown
    assert worst.gain > 0.8 * share
    assert next_worst.gain < 0.2 * share
    assert worst.answers.different < result.file.different / 2
    assert result.sentences()[1].startswith("With second alone in float it is ")
    names = {layer.name for layer in result.layers}
    assert {"first", "second", "third", "answer", "output"} <= names
    assert [row[0] for row in result.rows()[:2]] == ["none", "none, simulated"]
    assert "## Each layer in float in turn" in result.parts()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_the_simulation_is_within_a_step_of_the_int8_file_and_none_of_it_is_float32() -> None:
    float32, int8 = files(separable())
    simulated = SimulatedInt8(float32, int8)
    # A maximum rounds nothing, so it belongs to the layer before it.
    assert not [layer for layer in simulated.layers if "pool" in layer and "average" not in layer]
    reference, own, of_file = (
        float_in_turn.probabilities(data, images(100)) for data in (float32, simulated.file(), int8)
    )
    assert float_in_turn.moved(own, of_file).mean() < 1 / 256
    simulated.roundings.clear()
    assert np.array_equal(float_in_turn.probabilities(simulated.file(), images(100)), reference)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_pixels_halfway_between_two_steps_are_rounded_as_in_the_int8_file() -> None:
    """All are, if they are scaled to -1 to 1, as published networks want them."""
    float32, int8 = files(network([], (1 / 127.5, -1.0)))  # the mean of all pixels
    reference, own, of_file = (
        float_in_turn.probabilities(data, images(100))
        for data in (float32, SimulatedInt8(float32, int8).file(), int8)
    )
    lost = float_in_turn.moved(of_file, reference).mean()
    assert float_in_turn.moved(own, of_file).mean() < 0.1 * lost


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_files_that_do_not_belong_together_get_a_sentence() -> None:
    (float32, _), (_, int8) = files(plain()), files(plain(8))
    result = float_in_turn.tried(float32, int8, images(40), lambda outputs: outputs[:, 0])
    assert isinstance(result, str)
    assert "cannot be tried with these two files: " in result
    few = float_in_turn.tried(float32, float32, images(10), lambda outputs: outputs[:, 0])
    assert "10 validation images cannot show which one gains; expected at least 30" in str(few)


def test_layers_are_named_as_in_keras() -> None:
    assert layer_name("edge_1/conv2d_1/Relu;edge_1/bn_1/sub") == "conv2d"
    assert layer_name("network_1/inner_1/conv2d_2_1/Relu") == "inner/conv2d_2"
    assert layer_name("StatefulPartitionedCall:0") == "output"


def test_noise_names_a_layer_in_one_of_twenty_analyses_at_most() -> None:
    random = np.random.default_rng(0)
    layers, analyses = 20, 400
    named = 0
    for _ in range(analyses):
        # Few images differ much, as in a real file.
        noise = random.normal(size=(layers, 200)) * random.exponential(size=(1, 200)) ** 2
        lows = [float_in_turn.gain(differences, layers)[1][0] for differences in noise]
        named += max(lows) > 0
    assert named / analyses < 0.05


def result(gains: dict[str, tuple[float, float]], error: float = 0.0) -> FloatInTurn:
    """Of layers with these intervals; int8 moves a tenth of the probability."""
    answers = Answers(np.full(100, 0.1), 7, 0.5)
    layers = [LayerInFloat(name, answers, sum(ends) / 2, ends) for name, ends in gains.items()]
    return FloatInTurn(100, answers, answers, 0.4, error, layers)


def test_only_what_noise_cannot_explain_is_named() -> None:
    shown = result({"a": (0.01, 0.05), "b": (-0.01, 0.03)}).sentences()
    assert shown == [
        "On 100 validation images int8 gives, on average, 10.000 points of the probability to "
        "other classes than float32 does; 7 answers differ.",
        "With a alone in float it is 3.000 points less (95 % interval 1.000 to 5.000), and 7 "
        "answers differ.",
    ]
    none = result({"b": (-0.01, 0.03)}).sentences()
    assert none[1] == "No layer alone in float makes it less, as far as these images can show."
    many = result(dict.fromkeys("abcde", (0.01, 0.05))).sentences()
    assert len(many) == 5
    assert many[-1] == "2 other layers gain less."


def test_the_verdict_and_the_layers_count_the_same_images() -> None:
    turns = result({"first": (0.01, 0.02)})
    few = QuantizationLoss([], images=200, different=0)
    both = explain_quantization.counted_once(few, turns)
    assert (both.images, both.different) == (turns.images, turns.file.different)
    assert explain_quantization.counted_once(few, "Each layer in float was not tried.") == few


def test_no_layer_is_blamed_if_the_simulation_is_far_from_the_file() -> None:
    refused = result({}, error=0.06)
    (sentence,) = refused.sentences()
    assert "Which layers are to blame cannot be told" in sentence
    assert "6.000 points off from the file" in sentence
    assert refused.parts() == ["## Each layer in float in turn", sentence]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_layers_are_not_tried_where_the_simulation_is_far_from_the_file() -> None:
    float32, int8 = files(unequal())
    losses = partial(classes.losses, labels=np.zeros(100, int))
    same = float_in_turn.tried(float32, float32, images(100), losses)
    assert isinstance(same, FloatInTurn)
    assert same.sentences()[0].endswith("0 answers differ. No layer needs to be in float.")
    assert not same.layers
    mixed = float_in_turn.tried(float32, without_names(int8), images(100), losses)
    assert isinstance(mixed, FloatInTurn)
    assert "cannot be told" in mixed.sentences()[0]
    assert not mixed.layers


def without_names(data: bytes) -> bytes:
    """The file with no tensor that the float32 file has, so that nothing is simulated."""
    file = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    for tensor in file.subgraphs[0].tensors:
        tensor.name = b"other/" + (tensor.name or b"")
    return bytes(flatbuffer_utils.convert_object_to_bytearray(file))
