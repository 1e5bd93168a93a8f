"""ONNX files: their bytes follow from the graph, and their answers not from the processor."""

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
from pipeline.reporting import statistics
from pipeline.runtimes import environments
from pipeline.runtimes.process import Interpreter, RuntimeProcess, Task
from pipeline.training import keras_files
from tests.conftest import Project, emulated


def graph(order: tuple[int, ...], prefix: str) -> onnx.ModelProto:
    """(image + 1) * (image - 1), its two branches in any order and all inner names with a prefix."""
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
    made = helper.make_graph(nodes, prefix, values[:1], values[1:], [one])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])


def test_the_same_graph_in_any_order_and_with_any_names_is_the_same_bytes() -> None:
    every = {
        _onnx.canonical(graph(order, prefix)).SerializeToString(deterministic=True)
        for prefix in ("a/", "b/")
        for order in permutations(range(3))
    }
    assert len(every) == 1
    nodes = onnx.load_from_string(every.pop()).graph.node
    assert [node.op_type for node in nodes] == ["Add", "Sub", "Mul"]


@dataclass(frozen=True)
class Answers:
    """Probabilities (N, K) of the golden images by processor: of the file and of the old one."""

    now: dict[str, Array]
    old: dict[str, Array]


@pytest.fixture(scope="module")
def files(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the format's file and of the old one, with weights of all eight bits."""
    folder = tmp_path_factory.mktemp("files")
    model = keras_files.load(finished.folder / "model/model.keras")
    calibration = training_images(finished)
    (folder / "now.onnx").write_bytes(onnx_int8.convert(model, calibration))
    old = onnx_int8.quantized(model, calibration, reduce_range=False)
    (folder / "old.onnx").write_bytes(old)
    return folder


@pytest.fixture(scope="module")
def answers(finished: Project, files: Path) -> Answers:
    test = finished.folder / "data/prepared/test"
    reference = np.load(finished.folder / "evaluation/test_probabilities.npy")
    images = np.load(test / "images.npy", mmap_mode="r")
    labels = np.load(test / "labels.npy")
    synthetic = golden.synthetic(images, labels, 255)
    vectors = golden.choose(images, labels, reference, {}, synthetic)
    np.save(files / "images.npy", vectors.images)
    here = Interpreter.here(environments.python("onnxruntime"))
    interpreters = {NATIVE: here}
    interpreters |= {name: emulated(name, "onnxruntime") for name in ("nehalem", "haswell")}
    told = {name: answered(files, each, name) for name, each in interpreters.items()}
    return Answers(*({name: told[name][file] for name in told} for file in ("now", "old")))


def answered(folder: Path, interpreter: Interpreter, name: str) -> dict[str, Array]:
    models = [folder / "now.onnx", folder / "old.onnx"]
    output = folder / name
    output.mkdir()
    task = Task(models, [folder / "images.npy"], output)
    process = RuntimeProcess(interpreter, "onnxruntime", task)
    try:
        assert [process.answer() for _ in models] == [{}, {}]
    finally:
        process.close()
    return {model.stem: np.load(output / f"{model.stem}.npy") for model in models}


def training_images(finished: Project) -> Array:
    images: Array = np.load(finished.folder / "data/prepared/train/images.npy")
    return images[:100]


def largest_difference(answers: dict[str, Array]) -> float:
    """From what this processor says, over the others."""
    return max(float(np.abs(told - answers[NATIVE]).max()) for told in answers.values())


def test_an_int8_file_answers_alike_without_avx_with_avx2_and_here(answers: Answers) -> None:
    assert largest_difference(answers.now) < 0.01


def test_a_file_whose_sums_saturate_is_caught_by_the_golden_vectors_on_every_machine(
    answers: Answers,
) -> None:
    """Where this processor saturates, Nehalem differs from it; where it does not, Haswell."""
    assert largest_difference(answers.old) > statistics.QUANTIZED_TOLERANCE
    between = float(np.abs(answers.old["nehalem"] - answers.old["haswell"]).max())
    assert between > statistics.QUANTIZED_TOLERANCE


def weights(file: Path) -> list[Array]:
    """The int8 tensors of a file with more than one dimension."""
    tensors = map(numpy_helper.to_array, onnx.load(file).graph.initializer)
    return [tensor for tensor in tensors if tensor.dtype == np.int8 and tensor.ndim > 1]


def test_no_two_products_of_the_int8_file_can_overflow_16_bits(files: Path) -> None:
    found = weights(files / "now.onnx")
    assert len(found) == 5  # four convolutions and a dense layer
    largest = max(int(np.abs(tensor.astype(int)).max()) for tensor in found)
    assert 2 * 255 * largest <= np.iinfo(np.int16).max
    old = max(int(np.abs(tensor.astype(int)).max()) for tensor in weights(files / "old.onnx"))
    assert 2 * 255 * old > np.iinfo(np.int16).max


def test_the_int8_file_reads_every_pixel_value_whatever_it_was_calibrated_on(
    finished: Project,
) -> None:
    model = keras_files.load(finished.folder / "model/model.keras")
    dim = training_images(finished) // 2
    graph = onnx.load_from_string(onnx_int8.convert(model, dim)).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    way_in = next(node for node in graph.node if node.op_type == "QuantizeLinear")
    assert tensors[way_in.input[1]] == pytest.approx(1)  # one step of the byte is one step inside
    assert tensors[way_in.input[2]] == 0


def test_the_int8_file_is_the_same_bytes_each_time(finished: Project, files: Path) -> None:
    model = keras_files.load(finished.folder / "model/model.keras")
    again = onnx_int8.convert(model, training_images(finished))
    assert again == (files / "now.onnx").read_bytes()
