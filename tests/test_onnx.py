"""ONNX files: bytes that depend on the graph alone, and answers that ignore the processor."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.bundle import golden
from pipeline.config.processors import NATIVE
from pipeline.files.artifacts import Array
from pipeline.formats import _onnx, onnx_int8
from pipeline.inputs import pixels
from pipeline.reporting import statistics
from pipeline.runtimes import environments
from pipeline.runtimes.process import Answer, Interpreter, RuntimeProcess, Task
from pipeline.targets import classes
from pipeline.training import keras_files
from tests.conftest import Project, emulated


def graph(order: tuple[int, ...], prefix: str) -> onnx.ModelProto:
    """(image + 1) * (image - 1), with its nodes in any order and a prefix for all inner names."""
    one = numpy_helper.from_array(np.array([1], np.float32), f"{prefix}one")
    branches = [
        helper.make_node("Add", ["image", f"{prefix}one"], [f"{prefix}more"], name=f"{prefix}add"),
        helper.make_node("Sub", ["image", f"{prefix}one"], [f"{prefix}less"], name=f"{prefix}sub"),
        helper.make_node("Relu", ["image"], [f"{prefix}unused"]),
    ]
    product = helper.make_node("Mul", [f"{prefix}more", f"{prefix}less"], ["probabilities"])
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2])
        for name in ("image", "probabilities")
    ]
    nodes = [*(branches[index] for index in order), product]
    result = helper.make_graph(nodes, prefix, values[:1], values[1:], [one])
    return helper.make_model(result, opset_imports=[helper.make_opsetid("", 17)])


def test_the_same_graph_in_any_order_and_with_any_names_is_the_same_bytes() -> None:
    files = {
        _onnx.canonical(graph(order, prefix)).SerializeToString(deterministic=True)
        for prefix in ("a/", "b/")
        for order in permutations(range(3))
    }
    assert len(files) == 1
    nodes = onnx.load_from_string(files.pop()).graph.node
    assert [node.op_type for node in nodes] == ["Add", "Sub", "Mul"]


@dataclass(frozen=True)
class Answers:
    """Probabilities (N, K) of the golden images, by processor, with weights of 7 or 8 bits."""

    seven_bits: dict[str, Array]
    eight_bits: dict[str, Array]


@pytest.fixture(scope="module")
def files(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the format's file, and with one whose weights have all eight bits."""
    folder = tmp_path_factory.mktemp("files")
    model = keras_files.load(finished.folder / "model/model.keras")
    calibration = training_images(finished)
    (folder / "seven_bits.onnx").write_bytes(onnx_int8.convert(model, calibration))
    eight_bits = onnx_int8.quantized(model, calibration, reduce_range=False)
    (folder / "eight_bits.onnx").write_bytes(eight_bits)
    return folder


@pytest.fixture(scope="module")
def answers(finished: Project, files: Path) -> Answers:
    test = finished.folder / "data/prepared/test"
    reference = np.load(finished.folder / "evaluation/test_probabilities.npy")
    images = np.load(test / "images.npy", mmap_mode="r")
    labels = np.load(test / "labels.npy")
    synthetic = pixels.synthetic(images[golden.spread_rows(labels)[::2]], (0, 255))
    vectors = golden.choose(classes, (images, labels), reference, {}, synthetic)
    np.save(files / "images.npy", vectors.images)
    here = Interpreter.here(environments.python("onnxruntime"))
    interpreters = {NATIVE: here}
    interpreters |= {name: emulated(name, "onnxruntime") for name in ("nehalem", "haswell")}
    by_processor = {
        processor: probabilities(files, interpreter, processor)
        for processor, interpreter in interpreters.items()
    }
    return Answers(
        {processor: files["seven_bits"] for processor, files in by_processor.items()},
        {processor: files["eight_bits"] for processor, files in by_processor.items()},
    )


def probabilities(folder: Path, interpreter: Interpreter, name: str) -> dict[str, Array]:
    """The probabilities of both files, by file name, as `interpreter` computes them."""
    models = [folder / "seven_bits.onnx", folder / "eight_bits.onnx"]
    output = folder / name
    output.mkdir()
    task = Task(models, [folder / "images.npy"], output)
    process = RuntimeProcess(interpreter, "onnxruntime", task)
    try:
        assert [process.answer() for _ in models] == [Answer(), Answer()]
    finally:
        process.close()
    return {model.stem: np.load(output / f"{model.stem}.npy") for model in models}


def training_images(finished: Project) -> Array:
    images: Array = np.load(finished.folder / "data/prepared/train/images.npy")
    return images[:100]


def largest_difference(answers: dict[str, Array]) -> float:
    """The largest difference of a probability from that on this processor."""
    return max(float(np.abs(other - answers[NATIVE]).max()) for other in answers.values())


def test_an_int8_file_gives_the_same_answers_without_avx_with_avx2_and_here(
    answers: Answers,
) -> None:
    assert largest_difference(answers.seven_bits) < 0.01


def test_the_golden_vectors_detect_a_file_whose_sums_saturate_on_every_machine(
    answers: Answers,
) -> None:
    """If this processor saturates, Nehalem differs from it; otherwise Haswell does."""
    assert largest_difference(answers.eight_bits) > statistics.QUANTIZED_TOLERANCE
    nehalem, haswell = answers.eight_bits["nehalem"], answers.eight_bits["haswell"]
    assert float(np.abs(nehalem - haswell).max()) > statistics.QUANTIZED_TOLERANCE


def weights(file: Path) -> list[Array]:
    """The int8 tensors of a file with more than one dimension."""
    tensors = map(numpy_helper.to_array, onnx.load(file).graph.initializer)
    return [tensor for tensor in tensors if tensor.dtype == np.int8 and tensor.ndim > 1]


def test_no_two_products_of_the_int8_file_can_overflow_16_bits(files: Path) -> None:
    seven_bits, eight_bits = (weights(files / f"{name}_bits.onnx") for name in ("seven", "eight"))
    assert len(seven_bits) == 5  # four convolutions and a dense layer
    assert 2 * 255 * largest(seven_bits) <= np.iinfo(np.int16).max
    assert 2 * 255 * largest(eight_bits) > np.iinfo(np.int16).max


def largest(tensors: list[Array]) -> int:
    """The largest absolute value."""
    return max(int(np.abs(tensor.astype(int)).max()) for tensor in tensors)


def test_the_int8_file_takes_every_pixel_value_whatever_it_was_calibrated_on(
    finished: Project,
) -> None:
    model = keras_files.load(finished.folder / "model/model.keras")
    dim = pixels.calibration(training_images(finished) // 2)
    graph = onnx.load_from_string(onnx_int8.convert(model, dim)).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantize_input = next(node for node in graph.node if node.op_type == "QuantizeLinear")
    _, scale, zero_point = quantize_input.input
    assert tensors[scale] == pytest.approx(1)
    assert tensors[zero_point] == 0


def test_the_int8_file_is_the_same_bytes_each_time(finished: Project, files: Path) -> None:
    model = keras_files.load(finished.folder / "model/model.keras")
    again = onnx_int8.convert(model, training_images(finished))
    assert again == (files / "seven_bits.onnx").read_bytes()
