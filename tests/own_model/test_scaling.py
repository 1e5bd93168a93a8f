"""The scaling, the classes and the outputs of a model of somebody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.config.own_model import OwnModel, Scale
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.training import input_scaling, keras_files, own_model
from pipeline.training.batches import Data
from tests.own_model.conftest import nearest_mean

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


DIGITS = [str(digit) for digit in range(10)]
IMAGENET_OF_GREY = Scale(mean=33.3, deviation=78.6)


def taken(path: Path, data: Data, model: keras.Model, **settings: Any) -> own_model.TakenModel:
    """The model, saved and taken by params of these values."""
    model.save(path)
    return own_model.take(OwnModel(path=str(path), **settings), data, DIGITS)


def answers(result: own_model.TakenModel, data: Data) -> Array:
    outputs = keras_files.probabilities(result.model, data.validation[0])
    assert np.allclose(outputs.sum(1), 1, atol=1e-5)
    classes: Array = outputs.argmax(1)
    return classes


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", ["raw", "unit", "signed"])
def test_the_scaling_is_found_and_made_part_of_the_model(
    name: str, suffix: str, data: Data, tmp_path: Path
) -> None:
    scaling = input_scaling.SCALINGS[name]
    model = nearest_mean(data, scaling)
    result = taken(tmp_path / f"model.{suffix}", data, model)
    assert result.origin.scaling == input_scaling.IN_WORDS[name]
    assert result.origin.accuracies[name] == max(result.origin.accuracies.values()) > 0.7
    expected = input_scaling.outputs(model, data.validation[0], scaling).argmax(1)
    assert np.array_equal(answers(result, data), expected)
    assert result.model.inputs[0].name == "image"


def test_a_scaling_of_ones_own_is_taken_by_mean_and_deviation(data: Data, tmp_path: Path) -> None:
    model = nearest_mean(data, ([33.3], [78.6]))
    result = taken(tmp_path / "model.keras", data, model, scaling=IMAGENET_OF_GREY)
    assert result.origin.scaling == "pixels less 33.3, divided by 78.6"
    assert (answers(result, data) == data.validation[1]).mean() > 0.7


def test_the_mean_and_deviation_of_the_dataset_are_tried(data: Data, tmp_path: Path) -> None:
    scaling = input_scaling.standard(data.train[0])
    pixels = data.train[0][input_scaling.samples(len(data.train[0]))]
    assert list(scaling.mean) == pytest.approx([pixels.mean()], abs=0.051)
    assert list(scaling.deviation) == pytest.approx([pixels.std()], abs=0.051)
    result = taken(tmp_path / "model.keras", data, nearest_mean(data, scaling))
    assert result.origin.scaling.endswith("the dataset's mean and deviation")
    assert (answers(result, data) == data.validation[1]).mean() > 0.7


def test_the_mean_of_the_dataset_is_no_rival_unless_it_is_clearly_better() -> None:
    right = np.arange(100) % 10 > 0

    def result(right: Array) -> input_scaling.ScalingResult:
        return input_scaling.ScalingResult(right, right, None, 0.0)

    worse, equal = result(np.zeros(100, bool)), result(np.roll(right, 1))
    results = {"unit": result(right), "raw": worse, "standard": equal}
    assert input_scaling.rivals(results) == ("unit", "raw")
    assert input_scaling.rivals({**results, "unit": worse}) == ("standard", "unit")


def test_imagenets_scaling_of_colours_is_what_torchvision_computes(data: Data) -> None:
    layer = own_model.rescaling(input_scaling.SCALINGS["imagenet"])
    pixels = np.array([[[[0, 128, 255]]]], np.float32)
    expected = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.allclose(layer(pixels), expected, atol=1e-5)


def test_an_ambiguous_scaling_is_asked_about(data: Data, tmp_path: Path) -> None:
    model = nearest_mean(data, ([0.0], [255.0]))
    kernel, bias = model.layers[-1].get_weights()
    # Only ratios of differences between pixels count
    model.layers[-1].set_weights([kernel - kernel.mean(0), 0 * bias])
    with pytest.raises(UserError, match=r"not clear: .* set model.scaling to raw, unit, signed"):
        taken(tmp_path / "model.keras", data, model)
    model_of_unit = taken(tmp_path / "model.keras", data, model, scaling="unit")
    assert model_of_unit.origin.scaling == "pixels divided by 255"


def test_a_model_of_other_classes_is_told_from_one_of_another_scaling(
    data: Data, tmp_path: Path
) -> None:
    model = nearest_mean(data, ([0.0], [1.0]))
    model.layers[-1].set_weights([np.zeros((784, 10)), np.arange(10)])
    with pytest.raises(UserError, match="hardly better than always naming the most frequent class"):
        taken(tmp_path / "model.keras", data, model)


@pytest.mark.parametrize("end", ["logits", "softmax", "activation"])
def test_classes_in_another_order_are_refused_until_the_labels_say_which(
    end: str, data: Data, tmp_path: Path
) -> None:
    order = [3, 1, 2, 0, 4, 5, 6, 9, 8, 7]
    activation = {"activation": "softmax"} if end == "softmax" else {}
    model = nearest_mean(data, ([0.0], [255.0]), order, **activation)
    if end == "activation":
        model.add(layers.Activation("softmax"))
    names = [DIGITS[label] for label in order]
    with pytest.raises(UserError) as refusal:
        taken(tmp_path / "model.keras", data, model)
    assert f"set model.labels to {json.dumps(names)}" in str(refusal.value)
    assert "0 seems to be 3" in str(refusal.value)
    straight = taken(tmp_path / "other.keras", data, nearest_mean(data, ([0.0], [255.0])))
    result = taken(tmp_path / "model.keras", data, model, labels=names)
    assert np.array_equal(answers(result, data), answers(straight, data))


def test_labels_must_be_the_classes_of_the_dataset(data: Data, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the same names, in the order of the model"):
        taken(tmp_path / "a.keras", data, nearest_mean(data, ([0.0], [1.0])), labels=["a", "b"])


def test_logits_get_a_softmax_and_probabilities_stay(data: Data, tmp_path: Path) -> None:
    path, scaling = tmp_path / "model.keras", ([0.0], [255.0])
    logits = taken(path, data, nearest_mean(data, scaling))
    already = taken(path, data, nearest_mean(data, scaling, activation="softmax"))
    assert logits.origin.softmax_added
    assert not already.origin.softmax_added
    first, second = (
        keras_files.probabilities(each.model, data.validation[0]) for each in (logits, already)
    )
    assert np.allclose(first, second, atol=1e-6)
    with pytest.raises(UserError, match="do not add up to 1"):
        taken(path, data, nearest_mean(data, scaling, activation="sigmoid"))


def test_one_sigmoid_answers_for_two_classes(data: Data, tmp_path: Path) -> None:
    def zeros_and_ones(split: tuple[Array, Array]) -> tuple[Array, Array]:
        return tuple(part[split[1] < 2] for part in split)  # type: ignore[return-value]

    two = Data(zeros_and_ones(data.train), zeros_and_ones(data.validation), 2)
    kernel, bias = nearest_mean(data, ([0.0], [255.0])).layers[-1].get_weights()
    model = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(1)])
    model.layers[-1].set_weights([kernel[:, 1:2] - kernel[:, :1], bias[1:2] - bias[:1]])
    path = tmp_path / "model.h5"
    model.save(path)
    result = own_model.take(OwnModel(path=str(path), scaling="unit"), two, ["0", "1"])
    assert (answers(result, two) == two.validation[1]).mean() > 0.95


@pytest.mark.parametrize("shape", [(784,), (28, 28), (None, None, 1)])
def test_grey_images_without_channel_and_rows_of_pixels_fit(
    shape: tuple[int, ...], data: Data
) -> None:
    dense = layers.Dense(10)
    pooling = layers.GlobalAveragePooling2D() if len(shape) == 3 else layers.Flatten()
    model = keras.Sequential([keras.Input(shape), pooling, dense])
    own_model.check_shapes("a.keras", model, data)
    scaling = input_scaling.SCALINGS["unit"]
    assembled = own_model.assembled(model, data, scaling, False, list(range(10)))
    assert keras_files.probabilities(assembled, data.validation[0][:3]).shape == (3, 10)


@pytest.mark.parametrize(
    ("shape", "outputs", "message"),
    [
        ((32, 32, 3), 10, r"takes inputs of shape \(32, 32, 3\), and .* are \(28, 28, 1\)"),
        ((28, 28, 1), 12, r"gives outputs of shape \(12,\), and the dataset has 10 classes"),
        ((28, 28, 1), 1, r"gives outputs of shape \(1,\), and the dataset has 10 classes"),
    ],
)
def test_a_model_that_does_not_fit_the_dataset_is_refused(
    shape: tuple[int, ...], outputs: int, message: str, data: Data, tmp_path: Path
) -> None:
    model = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(outputs)])
    with pytest.raises(UserError, match=message):
        taken(tmp_path / "model.keras", data, model)


def test_a_model_of_two_outputs_and_other_data_are_refused(data: Data, tmp_path: Path) -> None:
    image = keras.Input((28, 28, 1))
    row = layers.Flatten()(image)
    with pytest.raises(UserError, match="several inputs or outputs"):
        taken(tmp_path / "a.keras", data, keras.Model(image, [row, layers.Dense(10)(row)]))
    with pytest.raises(UserError, match="takes a classifier of images"):
        own_model.check_data(Data(data.train, data.validation, 10, target="labels"))
