"""Training with the rounding of int8: where it rounds, what is kept, and the file it leads to."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import params, parts
from pipeline.config.params import Network
from pipeline.datasets import Raw
from pipeline.files.artifacts import Array, Inputs
from pipeline.planning import cost
from pipeline.process.errors import UserError
from tests.conftest import ROOT
from tests.interrupted import assert_same_weights, interrupted

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.filterwarnings("ignore")]

START = params.load(ROOT / "params.yaml")
SHORT: dict[str, Any] = {
    "train.architecture": "tiny",
    "train.network.convolution": "separable",
    "train.epochs": 4,
    "train.batch_size": 50,
    "train.augmentation": [],
    "train.steps_per_execution": 1,
    "train.quantization_aware": True,
}


def data(raw: Raw) -> Any:
    from pipeline.training.batches import Data

    images, labels = raw.train_images, raw.train_labels
    return Data((images[:2000], labels[:2000]), (images[2000:2300], labels[2000:2300]), 10)


@pytest.fixture(scope="module")
def trained(raw_mnist: Raw, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A network with depthwise convolutions, trained for int8."""
    from pipeline.training import fit

    train = params.override(START, SHORT).train
    return fit.fit(train, data(raw_mnist), tmp_path_factory.mktemp("whole"), lambda row: None)


def int8_scales(content: bytes) -> tuple[list[float], list[Array]]:
    """The scales of activations, and the dequantized kernels (channels first), of a file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    scales, kernels = [], []
    for tensor in interpreter.get_tensor_details():
        quantization = tensor["quantization_parameters"]
        if len(quantization["scales"]) == 1 and tensor["dtype"] == np.int8:
            scales.append(float(quantization["scales"][0]))
        if len(tensor["shape"]) == 4 and len(quantization["scales"]) > 1:
            axis = quantization["quantized_dimension"]
            values = np.moveaxis(interpreter.get_tensor(tensor["index"]), axis, 0)
            kernels.append(values * quantization["scales"].reshape(-1, 1, 1, 1))
    return scales, kernels


def is_multiple(values: Array, others: Array) -> bool:
    """Whether they differ by a factor alone, such as the scaling of pixels in the first layer."""
    first, second = (part.reshape(-1) / np.abs(part).max() for part in (values, others))
    return float(np.abs(first - second).max()) < 1e-4


def test_only_what_the_int8_file_rounds_is_rounded() -> None:
    import keras

    from pipeline.architectures import tiny
    from pipeline.training import quantization

    network = Network(hidden=[4, 6], convolution="separable")
    names = quantization.points(tiny.build(Inputs((12, 12, 1), "pixels", 255), 3, network))
    assert [name.rstrip("_0123456789") for name in names] == ["activation"] * 3
    image = keras.Input((8, 8, 3))
    scaled = keras.layers.Rescaling(1 / 255)(image)
    first = keras.layers.Conv2D(4, 3, padding="same", name="first")(scaled)
    second = keras.layers.Conv2D(4, 3, padding="same", name="second")(first)
    clipped = keras.layers.ReLU(6, name="clipped")(second)
    added = keras.layers.Add(name="added")([clipped, first])
    mean = keras.layers.GlobalAveragePooling2D(name="mean")(added)
    residual = keras.Model(image, keras.layers.Dense(2, activation="softmax")(mean))
    assert quantization.points(residual) == ["first", "clipped", "added", "mean"]


SHAPES = {"ids": ((20,), 50), "series": ((40, 3), 255), "sounds": ((61, 32, 1), 255)}


@pytest.mark.parametrize("architecture", parts.choices("architectures"))
def test_every_architecture_can_round(architecture: str) -> None:
    import keras

    from pipeline.training import quantization

    module = importlib.import_module(f"pipeline.architectures.{architecture}")
    pixels = ((32, 32, 3), 255)
    shape, highest = SHAPES.get(module.INPUT, pixels)
    model = module.build(Inputs(shape, module.INPUT, highest), 3, Network())
    values = np.random.default_rng(0).integers(1, highest, (4, *shape)).astype(np.float32)
    cost._normalize(model, values)  # as training has done by then
    before = np.asarray(model(values))
    rounding = quantization.aware(model)
    for _ in range(2):
        outputs = np.asarray(rounding(values, training=True))
    assert np.isfinite(outputs).all()
    ranges = quantization.ranges(rounding)
    assert all(low <= 0 <= high and low < high for low, high in ranges.values()), ranges
    assert set(ranges) <= {layer.name for layer in model.layers}
    plain = keras.models.clone_model(model)
    quantization.copy_weights(rounding, plain)
    np.testing.assert_array_equal(np.asarray(plain(values)), before)


def test_the_int8_file_has_the_trained_ranges_and_the_rounded_kernels(
    raw_mnist: Raw, trained: Any
) -> None:
    from pipeline.formats import tflite_int8
    from pipeline.training import keras_files, quantization

    ranges = keras_files.ranges(trained.model)
    content = tflite_int8.convert(trained.model, raw_mnist.train_images[:100])
    scales, kernels = int8_scales(content)
    for low, high in ranges.values():
        assert min(abs(scale - (high - low) / 255) for scale in scales) < 1e-6
    rounding = quantization.aware(trained.model)
    count = 0
    for layer in rounding.layers:
        if isinstance(layer, quantization.RoundedWeights) and layer.channels is not None:
            factor = layer.factor()  # type: ignore[misc]
            kernel = np.asarray(layer.rounded_kernel(layer.kernel))  # type: ignore[attr-defined]
            if layer.channels == -2:
                factor = np.asarray(factor).reshape(kernel.shape[-2:])
            expected = np.moveaxis(kernel * np.asarray(factor), layer.channels, 0)
            same = [
                kernel
                for kernel in kernels
                if kernel.size == expected.size and is_multiple(kernel, expected)
            ]
            count += len(same)
    assert count == len(kernels) == 7


def test_the_file_answers_as_the_rounding_network_did(raw_mnist: Raw, trained: Any) -> None:
    from pipeline.formats import tflite_int8
    from pipeline.runtimes import inner_tensors
    from pipeline.training import keras_files

    images, labels = data(raw_mnist).validation
    content = tflite_int8.convert(trained.model, raw_mnist.train_images[:100])
    from ai_edge_litert.interpreter import Interpreter

    output = Interpreter(model_content=content).get_output_details()[0]["index"]
    answers = [values[output][0] for values in inner_tensors.read(content, [output], images)]
    accuracy = (np.argmax(answers, 1) == labels).mean()
    assert accuracy == pytest.approx(
        trained.rows[trained.best - 1]["validation_accuracy"], abs=0.01
    )
    assert trained.best == 4  # the only epoch that rounds
    plain = keras_files.probabilities(trained.model, images)
    assert (plain.argmax(1) == np.argmax(answers, 1)).mean() > 0.98


def test_an_interrupted_training_ends_in_the_same_weights_and_ranges(
    raw_mnist: Raw, trained: Any, tmp_path: Path
) -> None:
    from pipeline.training import keras_files

    train = params.override(START, SHORT).train
    for last in (3, 4):  # before the rounding, and after it
        resumed = interrupted(train, data(raw_mnist), tmp_path / str(last), last)
        assert_same_weights(resumed.model, trained.model)
        assert keras_files.ranges(resumed.model) == keras_files.ranges(trained.model)


def test_the_model_file_is_plain_keras_and_keeps_the_ranges(trained: Any, tmp_path: Path) -> None:
    import keras

    from pipeline.training import keras_files

    file = tmp_path / "model.keras"
    keras_files.save(file, trained.model)
    first = file.read_bytes()
    keras_files.save(file, trained.model)
    assert file.read_bytes() == first
    kept = keras_files.ranges(keras_files.load(file))
    assert {name: tuple(pair) for name, pair in kept.items()} == keras_files.ranges(trained.model)
    plain = keras.saving.load_model(file)
    assert {type(layer).__module__.split(".")[0] for layer in plain.layers} == {"keras"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"train.patience": 3}, "train: patience is 3, and the last epochs train for int8"),
        ({"train.epochs": 1}, "train: epochs is 1, and the last ones train for int8"),
        (
            {"train.precision": "mixed_float16"},
            "train: precision is mixed_float16, and the last epochs train for int8; expected",
        ),
    ],
)
def test_what_does_not_go_with_it_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        params.override(START, {"train.quantization_aware": True, **values})
