"""Calibration: the error of confidences, and the temperature in the last layer of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from pipeline.config.params import Network
from pipeline.files.artifacts import Array
from pipeline.reporting import calibration

if TYPE_CHECKING:
    import keras

# The first test that needs Keras waits for its import.
keras_model = pytest.mark.slow


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    shares: Array = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    return shares


def drawn(probabilities: Array, generator: np.random.Generator) -> Array:
    """Labels (N,) that are drawn from distributions (N, K), so that their confidences are true."""
    labels: Array = (probabilities.cumsum(1) < generator.random((len(probabilities), 1))).sum(1)
    return labels


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    # Two bins: 0.9 confident and 3 of 4 right, 0.6 confident and 1 of 2 right.
    confident = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2, np.float32)
    labels = np.array([0, 0, 0, 1, 0, 1])
    expected = (4 * 0.15 + 2 * 0.1) / 6
    assert calibration.error(confident, labels) == pytest.approx(expected, abs=1e-7)
    parts = calibration.bins(confident, labels)
    assert [(part.decisions, part.right) for part in parts] == [(2, 1), (4, 3)]


def test_each_of_several_labels_is_a_decision_of_its_own() -> None:
    outputs, labels = np.array([[0.9, 0.2]], np.float32), np.array([[1, 1]])
    expected = (0.1 + 0.8) / 2  # 0.9 for a yes that is right, 0.8 for a no that is wrong
    assert calibration.error(outputs, labels) == pytest.approx(expected, abs=1e-6)


def test_confidences_that_are_true_have_no_calibration_error_but_that_of_chance() -> None:
    generator = np.random.default_rng(0)
    outputs = softmax(generator.normal(0, 2, (20_000, 10)))
    assert calibration.error(outputs, drawn(outputs, generator)) < 0.01


@keras_model
@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_the_temperature_undoes_a_factor_of_the_logits(factor: float) -> None:
    from pipeline.training import temperature

    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 10))
    labels = drawn(softmax(logits), generator)
    assert temperature.fit(softmax(factor * logits), labels) == pytest.approx(factor, rel=0.03)


@keras_model
def test_a_model_that_is_right_on_few_images_does_not_become_certain() -> None:
    from pipeline.training import temperature

    logits = 8 * np.eye(3)[np.arange(20) % 3]
    scale = temperature.fit(softmax(logits), np.arange(20) % 3)
    assert softmax(logits / scale).max() == pytest.approx(21 / 22, abs=0.002)


Output = Literal["softmax", "sigmoid", "sigmoids"]


def model(output: Output, classes: int) -> keras.Model:
    """A network without training, whose probabilities are of every size."""
    import keras

    from pipeline.architectures import mlp
    from pipeline.files.artifacts import Inputs

    keras.utils.set_random_seed(0)
    result: keras.Model = mlp.build(Inputs((28, 28, 1)), classes, Network(output=output))
    *others, kernel, bias = result.get_weights()
    result.set_weights([*others, 3 * kernel, bias])
    return result


@keras_model
@pytest.mark.parametrize(("output", "classes"), [("softmax", 10), ("sigmoid", 2), ("sigmoids", 3)])
def test_the_last_layer_alone_takes_the_temperature_and_no_answer_changes(
    output: Output, classes: int
) -> None:
    from pipeline.training import keras_files, temperature

    network, generator = model(output, classes), np.random.default_rng(0)
    images = generator.integers(0, 256, (500, 28, 28, 1), np.uint8)
    before, weights = keras_files.probabilities(network, images), network.get_weights()
    shape = (500, 3) if output == "sigmoids" else (500,)
    labels = generator.integers(0, 2 if output == "sigmoids" else classes, shape)
    calibrated = temperature.calibrate(network, (images, labels))
    scale = calibrated.temperature
    assert scale is not None
    assert scale > 1.2, "labels of chance deserve no confidence"
    assert calibrated.error is not None
    assert calibrated.error_before is not None
    assert calibrated.error < calibrated.error_before == calibration.error(before, labels)

    *others, kernel, bias = weights
    *others_now, kernel_now, bias_now = network.get_weights()
    for old, new in zip(others, others_now, strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(kernel_now, kernel / np.float32(scale))
    np.testing.assert_array_equal(bias_now, bias / np.float32(scale))

    pairs = calibration.decisions(before, labels)[0]
    expected = softmax(np.log(np.maximum(pairs, 1e-38), dtype=float) / scale)
    after = calibration.decisions(keras_files.probabilities(network, images), labels)[0]
    np.testing.assert_allclose(after, expected, atol=1e-4)
    np.testing.assert_array_equal(after.argmax(1), pairs.argmax(1))
    again = temperature.calibrate(network, (images, labels))
    assert again.temperature == pytest.approx(1, abs=0.01), "a second temperature changes nothing"


@keras_model
def test_too_few_examples_fit_no_temperature() -> None:
    from pipeline import train
    from pipeline.training import temperature

    network, generator = model("softmax", 10), np.random.default_rng(0)
    images = generator.integers(0, 256, (temperature.FEWEST, 28, 28, 1), np.uint8)
    labels = generator.integers(0, 10, temperature.FEWEST)
    weights = network.get_weights()
    few = temperature.calibrate(network, (images[1:], labels[1:]))
    assert few.temperature is None
    assert train.calibration_sentence(few) == (
        "no temperature is fitted: that takes at least 50 validation examples, and there are 49"
    )
    for before, now in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, now)
    enough = temperature.calibrate(network, (images, labels))
    assert enough.temperature is not None


@keras_model
def test_the_sentence_on_the_temperature_says_which_error_is_without_it_and_what_is_good() -> None:
    from pipeline import train
    from pipeline.training.temperature import FEWEST, Calibrated

    outputs = np.zeros((FEWEST, 2), np.float32)
    sentence = (
        "temperature 1.100, fitted to the validation set and folded into the last layer: the "
        "calibration error there (0 is best) is {} without it, and {} with it"
    )
    lower = train.calibration_sentence(Calibrated(1.1, 0.154, 0.1412, outputs))
    assert lower == sentence.format("0.1540", "0.1412")
    higher = train.calibration_sentence(Calibrated(1.1, 0.1412, 0.154, outputs))
    assert higher == sentence.format("0.1412", "0.1540") + (
        "; it minimizes the cross-entropy, not this error"
    )


@keras_model
def test_a_model_that_ends_in_another_layer_keeps_its_weights() -> None:
    import keras

    from pipeline.training import temperature

    inputs = keras.Input((28, 28, 1))
    outputs = keras.layers.Conv2D(2, 28, activation="softmax")(inputs)
    network = keras.Model(inputs, keras.layers.Flatten()(outputs))
    weights = network.get_weights()
    images, labels = np.zeros((4, 28, 28, 1), np.uint8), np.array([0, 1, 0, 1])
    calibrated = temperature.calibrate(network, (images, labels))
    assert calibrated.temperature is None
    assert calibrated.error == calibrated.error_before
    for before, now in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, now)
