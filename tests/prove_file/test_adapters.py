"""Layout, scaling and order of a file of somebody else are found or asked about."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.own_model import OwnModel
from pipeline.files import split_files
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.proving import foreign_model, prove_file
from pipeline.proving.prove_file import ProveOptions
from pipeline.runtimes import foreign
from pipeline.training import input_scaling
from pipeline.training.batches import Data
from tests.conftest import SMALL
from tests.foreign_files import Linear, onnx_file, tflite_float, tflite_int8
from tests.prove_file.conftest import DIGITS, compared, configure, report

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


ORDER = [3, 1, 2, 0, 4, 5, 6, 9, 8, 7]


def coloured(images: Array) -> Array:
    """Colours in which each channel is scaled and shifted otherwise."""
    return np.concatenate([images, images // 2, 255 - images], axis=3)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("name", ["unit", "imagenet"])
def test_layout_and_scaling_of_colours_are_found(
    name: str, layout: str, data: Data, tmp_path: Path
) -> None:
    train, validation = (
        (coloured(images), labels) for images, labels in (data.train, data.validation)
    )
    scaling = input_scaling.SCALINGS[name]
    path = tmp_path / "theirs.onnx"
    path.write_bytes(onnx_file(Linear.nearest_mean(*train, *scaling[:2]), layout))
    model = foreign_model.take(
        OwnModel().model_copy(update={"path": str(path)}),
        Data(train, validation, 10),
        DIGITS,
        tmp_path / "work",
    )
    assert model.adapter.layout == layout
    assert list(model.adapter.deviation) == list(scaling[1])
    assert model.origin.accuracies[name] == max(model.origin.accuracies.values()) > 0.7
    assert ("NCHW" in model.origin.scaling) == (layout == "NCHW")
    assert model.adapter.activation == foreign.SOFTMAX  # it gives logits


@pytest.mark.slow
def test_an_int8_file_runs_everywhere_as_the_reference_kernels_do(
    linear: Linear, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("theirs.tflite").write_bytes(tflite_int8(linear))
    assert prove_file.prove(ProveOptions(Path("theirs.tflite"), source="a friend"))
    file_report, shown = report(), capsys.readouterr().out
    assert set(file_report.origin.accuracies) == {"unit"}, "other pixels would be cut"
    assert file_report.origin.source == "a friend"
    assert file_report.origin.scaling.endswith("int8 with scale 0.00392157 and zero point -128")
    assert file_report.compared_with.origin is None
    assert (file_report.judged_on.test, file_report.judged_on.validation) == (1000, 0)
    for runtime in ("litert", "tflite_runtime", "tflite_micro"):
        pair = compared(file_report, runtime)
        assert pair.state == "proven"
        assert pair.accuracy > 0.7
    micro = compared(file_report, "tflite_micro")
    assert (micro.lost, micro.gained, micro.largest_difference) == (0, 0, 0.0)
    assert micro.images == SMALL["verify.micro_images"]
    assert "by labels alone" in shown
    assert all(len(line) <= 80 for line in shown.partition("\n+")[2].splitlines())


@pytest.mark.slow
@pytest.mark.long
def test_the_accuracy_is_that_of_the_formula(linear: Linear, prepared: Path) -> None:
    Path("theirs.tflite").write_bytes(tflite_float(linear))
    assert prove_file.prove(ProveOptions(Path("theirs.tflite")))
    images, labels = split_files.load_split("test")
    scores = (images / 255).reshape(-1, 784) @ linear.kernel.reshape(10, -1).T + linear.bias
    pair = compared(report(), "litert")
    assert pair.accuracy == (scores.argmax(1) == labels).mean()
    assert pair.accuracy == report().compared_with.accuracy


@pytest.mark.slow
@pytest.mark.long
def test_another_order_of_the_classes_is_asked_about(linear: Linear, prepared: Path) -> None:
    configure({"verify.runtimes": ["onnxruntime"]})
    Path("theirs.onnx").write_bytes(onnx_file(linear.ordered(ORDER)))
    labels = json.dumps([str(label) for label in ORDER])
    with pytest.raises(UserError) as refused:
        prove_file.prove(ProveOptions(Path("theirs.onnx")))
    assert str(refused.value).endswith(f"if so, set model.labels to {labels}")
    overrides = [f"model.labels={labels}"]
    assert prove_file.prove(ProveOptions(Path("theirs.onnx"), overrides=overrides))
    assert compared(report(), "onnxruntime").accuracy > 0.7


@pytest.mark.slow
@pytest.mark.long
def test_an_ambiguous_scaling_is_asked_about(linear: Linear, prepared: Path) -> None:
    configure({"verify.runtimes": ["onnxruntime"]})
    # Only ratios of differences between pixels count
    kernel = linear.kernel - linear.kernel.mean((1, 2, 3), keepdims=True)
    blind = Linear(kernel, 0 * linear.bias)
    Path("theirs.onnx").write_bytes(onnx_file(blind))
    with pytest.raises(UserError, match=r"not clear: .* as in -S model.scaling=unit"):
        prove_file.prove(ProveOptions(Path("theirs.onnx")))
    assert prove_file.prove(ProveOptions(Path("theirs.onnx"), overrides=["model.scaling=unit"]))


def test_a_value_that_is_not_read_here_is_refused() -> None:
    with pytest.raises(UserError, match=r"-S dataset.height changes nothing here, .* verify"):
        prove_file.overridden(["dataset.height=96"])


def test_sizes_that_do_not_fit_and_open_ones_are_refused() -> None:
    fits = foreign_model.fitting_layout
    assert fits("a", (28, 28), (28, 28, 1)) == fits("a", (784,), (28, 28, 1)) == "NHWC"
    assert fits("a", (3, None, None), (32, 32, 3)) == "NCHW"
    with pytest.raises(UserError, match=r"shape \(96, 96, 3\), and the images .* \(32, 32, 3\)"):
        fits("a", (96, 96, 3), (32, 32, 3))
    with pytest.raises(UserError, match="leaves open where the channels are"):
        fits("a", (None, None, None), (32, 32, 3))


def test_pixels_are_stored_by_the_scale_of_the_file() -> None:
    values = np.array([0.0, 0.2, 1.0, 9.0], np.float32)
    assert foreign.stored(values, "int8", (1 / 255, -128)).tolist() == [-128, -77, 127, 127]
    assert foreign.stored(np.array([0.0, 255.0]), "int8", None).tolist() == [-128, 127]
    assert foreign.stored(np.array([0.0, 255.0]), "uint8", None).tolist() == [0, 255]
    assert foreign.stored(values, "float16", None).dtype == np.float16
    probabilities = foreign.activated(np.array([[0.0], [50.0]]), foreign.SIGMOID)
    assert np.allclose(probabilities, [[0.5, 0.5], [0.0, 1.0]])
