"""A .tflite or .onnx file of somebody else, proven as it is on real runtimes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.config.own_model import OwnModel
from pipeline.datasets import Raw
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.prove import FileReport
from pipeline.files.reports.verify import ComparedPair, FailedPair
from pipeline.planning import prove as planning
from pipeline.process.errors import UserError
from pipeline.runtimes import foreign
from pipeline.search import foreign_model, prove_c, prove_file
from pipeline.search.prove_file import Question
from pipeline.training import input_scaling
from pipeline.training.batches import Data
from tests import foreign_files
from tests.conftest import EDGEPROOF, OWN_PROBLEM, ROOT, SMALL, Project, emulated
from tests.foreign_files import Linear, changed, onnx_file, tflite_float, tflite_int8

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")
DIGITS = [str(digit) for digit in range(10)]
UNIT, RAW = ([0.0], [255.0]), ([0.0], [1.0])
ORDER = [3, 1, 2, 0, 4, 5, 6, 9, 8, 7]
SPLITS = {"train": (0, 2000), "validation": (2000, 2600), "test": (2600, 3600)}


@pytest.fixture(scope="module")
def data(raw_mnist: Raw) -> Data:
    def part(split: str) -> tuple[Array, Array]:
        rows = slice(*SPLITS[split])
        return raw_mnist.train_images[rows], raw_mnist.train_labels[rows]

    return Data(part("train"), part("validation"), 10)


@pytest.fixture(scope="module")
def linear(data: Data) -> Linear:
    return Linear.nearest_mean(*data.train, *UNIT)


@pytest.fixture
def prepared(raw_mnist: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with prepared data and params, in which the tests run."""
    monkeypatch.chdir(tmp_path)
    for name in ("pipeline", "serving", "pyproject.toml", "uv.lock"):
        Path(name).symlink_to(ROOT / name)
    for split, rows in SPLITS.items():
        folder = artifacts.PREPARED / split
        folder.mkdir(parents=True)
        artifacts.save_array(folder / "images.npy", raw_mnist.train_images[slice(*rows)])
        artifacts.save_array(folder / "labels.npy", raw_mnist.train_labels[slice(*rows)])
    description = Description("mnist", DIGITS, (28, 28, 1), {}, [])
    artifacts.save_description(artifacts.DESCRIPTION, description)
    configure({})
    yield tmp_path


def configure(values: dict[str, Any]) -> None:
    """Writes params.yaml, by default for this processor alone."""
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    project = Project(Path(), Path())
    project.change({**SMALL, "verify.processors": ["native"], **values})


def report() -> FileReport:
    return FileReport.load()


def compared(found: FileReport, runtime: str, processor: str = "native") -> ComparedPair:
    (pair,) = (
        pair for pair in found.pairs if (pair.runtime, pair.processor) == (runtime, processor)
    )
    assert isinstance(pair, ComparedPair), pair
    return pair


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
    path.write_bytes(onnx_file(Linear.nearest_mean(*train, *scaling), layout))
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
    assert prove_file.prove(Question(Path("theirs.tflite"), source="a friend"))
    found, shown = report(), capsys.readouterr().out
    assert set(found.origin.accuracies) == {"unit"}, "other pixels would be cut"
    assert found.origin.source == "a friend"
    assert found.origin.scaling.endswith("int8 with scale 0.00392157 and zero point -128")
    assert found.compared_with.origin is None
    assert found.judged_on.model_dump() == {"test": 1000, "validation": 0}
    for runtime in ("litert", "tflite_runtime", "tflite_micro"):
        pair = compared(found, runtime)
        assert pair.state == "proven"
        assert pair.accuracy > 0.7
    micro = compared(found, "tflite_micro")
    assert (micro.lost, micro.gained, micro.largest_difference) == (0, 0, 0.0)
    assert micro.images == SMALL["verify.micro_images"]
    assert "by labels alone" in shown
    assert all(len(line) <= 80 for line in shown.partition("\n+")[2].splitlines())


@pytest.mark.slow
@pytest.mark.long
def test_the_accuracy_is_that_of_the_formula(linear: Linear, prepared: Path) -> None:
    Path("theirs.tflite").write_bytes(tflite_float(linear))
    assert prove_file.prove(Question(Path("theirs.tflite")))
    images, labels = artifacts.load_split("test")
    scores = (images / 255).reshape(-1, 784) @ linear.kernel.reshape(10, -1).T + linear.bias
    pair = compared(report(), "litert")
    assert pair.accuracy == (scores.argmax(1) == labels).mean()
    assert pair.accuracy == report().compared_with.accuracy


@pytest.mark.slow
@pytest.mark.parametrize(
    "suffix",
    [
        "tflite",
        pytest.param("onnx", marks=pytest.mark.long),
        pytest.param("keras", marks=pytest.mark.long),
    ],
)
def test_a_file_is_compared_with_its_reference(suffix: str, linear: Linear, prepared: Path) -> None:
    reference = Path(f"float.{suffix}")
    if suffix == "keras":
        save_keras(linear, reference)
    else:
        content = tflite_float(linear) if suffix == "tflite" else onnx_file(linear)
        reference.write_bytes(content)
    Path("theirs.tflite").write_bytes(tflite_int8(linear))
    configure({"verify.runtimes": ["litert"]})
    assert prove_file.prove(Question(Path("theirs.tflite"), reference))
    found = report()
    assert found.compared_with.origin is not None
    assert found.compared_with.origin.file == reference.name
    pair = compared(found, "litert")
    assert pair.keras_accuracy == found.compared_with.accuracy
    assert pair.agreement > 0.95
    assert pair.largest_difference > 0


def save_keras(linear: Linear, path: Path) -> None:
    import keras

    model = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    model.layers[-1].set_weights([linear.kernel.reshape(10, -1).T, linear.bias])
    model.save(path)


@pytest.mark.slow
def test_a_file_that_loses_accuracy_is_worse_and_fails(
    linear: Linear, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("float.tflite").write_bytes(tflite_float(linear))
    Path("theirs.tflite").write_bytes(tflite_int8(linear, levels=1))
    configure({"verify.runtimes": ["litert"]})
    assert not prove_file.prove(Question(Path("theirs.tflite"), Path("float.tflite")))
    pair = compared(report(), "litert")
    assert (pair.state, pair.lost > pair.gained) == ("worse", True)
    sentence = f"{pair.lost} of 1,000 images lost, {pair.gained} gained: significant, or more"
    assert sentence in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
@pytest.mark.long
def test_a_wrong_reference_is_noticed(
    linear: Linear, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure({"verify.runtimes": ["litert"]})
    Path("theirs.tflite").write_bytes(tflite_float(linear))
    fewer = Linear(linear.kernel[:7], linear.bias[:7])
    Path("seven.tflite").write_bytes(tflite_float(fewer))
    with pytest.raises(UserError, match=r"seven.tflite gives 7 numbers .* has 10 classes"):
        prove_file.prove(Question(Path("theirs.tflite"), Path("seven.tflite")))
    dice = np.random.default_rng(0)
    other = Linear(dice.normal(size=linear.kernel.shape).astype(np.float32), linear.bias)
    Path("other.tflite").write_bytes(tflite_float(other))
    with pytest.raises(UserError, match=r"other.tflite expects is not clear: .* hardly better"):
        prove_file.prove(Question(Path("theirs.tflite"), Path("other.tflite")))
    Path("coarse.tflite").write_bytes(tflite_int8(linear, levels=1))
    prove_file.prove(Question(Path("theirs.tflite"), Path("coarse.tflite")))
    shown = " ".join(capsys.readouterr().out.split())
    assert "Warning: theirs.tflite is right on significantly more images than coarse" in shown


@pytest.mark.slow
@pytest.mark.long
def test_another_order_of_the_classes_is_asked_about(linear: Linear, prepared: Path) -> None:
    configure({"verify.runtimes": ["onnxruntime"]})
    Path("theirs.onnx").write_bytes(onnx_file(linear.ordered(ORDER)))
    labels = json.dumps([str(label) for label in ORDER])
    with pytest.raises(UserError) as refused:
        prove_file.prove(Question(Path("theirs.onnx")))
    assert str(refused.value).endswith(f"if so, set model.labels to {labels}")
    overrides = [f"model.labels={labels}"]
    assert prove_file.prove(Question(Path("theirs.onnx"), overrides=overrides))
    assert compared(report(), "onnxruntime").accuracy > 0.7


@pytest.mark.slow
@pytest.mark.long
def test_an_ambiguous_scaling_is_asked_about(linear: Linear, prepared: Path) -> None:
    configure({"verify.runtimes": ["onnxruntime"]})
    Path("theirs.onnx").write_bytes(onnx_file(Linear(linear.kernel, 0 * linear.bias)))
    with pytest.raises(UserError, match=r"not clear: .* as in -S model.scaling=unit"):
        prove_file.prove(Question(Path("theirs.onnx")))
    assert prove_file.prove(Question(Path("theirs.onnx"), overrides=["model.scaling=unit"]))


@pytest.mark.slow
@pytest.mark.long
def test_validation_images_count_if_that_is_asked_for(linear: Linear, prepared: Path) -> None:
    configure({"verify.runtimes": ["onnxruntime"]})
    Path("theirs.onnx").write_bytes(onnx_file(linear))
    prove_file.prove(Question(Path("theirs.onnx"), validation=True))
    pair = compared(report(), "onnxruntime")
    assert (pair.images, pair.test_images) == (1600, 1000)


@pytest.mark.slow
@pytest.mark.long
def test_what_a_runtime_cannot_run_is_said_in_its_words(linear: Linear, prepared: Path) -> None:
    configure({"verify.runtimes": ["litert", "tflite_micro"]})
    Path("theirs.tflite").write_bytes(tflite_float(linear, weights="int8"))
    assert prove_file.prove(Question(Path("theirs.tflite")))
    failed = report().pairs[1]
    assert isinstance(failed, FailedPair)
    assert failed.reason == "Input type: FLOAT32 with filter type: INT8 not supported"


@pytest.mark.slow
@pytest.mark.long
def test_an_emulated_processor_computes_what_this_one_does(linear: Linear, prepared: Path) -> None:
    emulated("nehalem", "litert")
    configure({"verify.processors": ["native", "nehalem"]})
    Path("theirs.tflite").write_bytes(tflite_int8(linear))
    assert prove_file.prove(Question(Path("theirs.tflite")))
    pair = compared(report(), "litert", "nehalem")
    assert pair.state == "proven"
    assert pair.golden_difference is not None
    assert pair.images == 50


@pytest.mark.slow
@pytest.mark.long
def test_integer_c_of_a_file_gives_the_bytes_of_tensorflow_lite_micro(
    linear: Linear, prepared: Path
) -> None:
    configure({"verify.runtimes": ["litert"]})
    Path("theirs.tflite").write_bytes(tflite_int8(linear))
    assert prove_file.prove(Question(Path("theirs.tflite"), c=Path("code")))
    made = report().c
    assert made is not None
    assert made.images == 1000
    assert "int network_run(const int8_t *input" in Path("code/network.h").read_text("utf-8")
    with pytest.raises(UserError, match="--c code is not an empty folder"):
        prove_file.prove(Question(Path("theirs.tflite"), c=Path("code")))
    Path("float.tflite").write_bytes(tflite_float(linear))
    with pytest.raises(UserError, match=r"no integer C can be made of float.tflite: its FULLY"):
        prove_file.prove(Question(Path("float.tflite"), c=Path("other")))


@pytest.mark.slow
@pytest.mark.long
def test_c_that_differs_is_not_written(
    linear: Linear, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The C of one file is compared with what TensorFlow Lite Micro computes of another."""
    configure({"verify.runtimes": ["litert"]})
    Path("theirs.tflite").write_bytes(tflite_int8(linear))
    Path("coarse.tflite").write_bytes(tflite_int8(linear, levels=1))
    translate = prove_c.translate
    monkeypatch.setattr(prove_c, "translate", lambda path: translate(Path("coarse.tflite")))
    with pytest.raises(UserError, match=r"the C of theirs.tflite answers [\d,]+ of 1,000 images"):
        prove_file.prove(Question(Path("theirs.tflite"), c=Path("code")))
    assert not Path("code").exists()


def several_inputs(graph: Any) -> None:
    graph.input.append(graph.input[0])
    graph.input[1].name = "more"


def their_operator(graph: Any) -> None:
    graph.node[1].domain, graph.node[1].op_type = "theirs", "Magic"


REFUSED: dict[str, tuple[str, Callable[[Linear], bytes], str]] = {
    "custom": (
        "tflite",
        lambda linear: changed(tflite_float(linear), foreign_files.custom),
        "needs the custom operator TheirMagic, which no runtime here has",
    ),
    "custom onnx": (
        "onnx",
        lambda linear: onnx_file(linear, change=their_operator),
        "needs the custom operator theirs.Magic",
    ),
    "cut": ("tflite", lambda linear: tflite_float(linear)[:-5000], "a part of it is missing"),
    "cut onnx": ("onnx", lambda linear: onnx_file(linear)[:-5000], "a part of it is missing"),
    "text": ("tflite", lambda linear: b"a text\n" * 9, "is not a TensorFlow Lite file"),
    "empty": ("tflite", lambda linear: b"", "is not a TensorFlow Lite file"),
    "empty onnx": ("onnx", lambda linear: b"", "is not an ONNX file"),
    "inputs": (
        "onnx",
        lambda linear: onnx_file(linear, change=several_inputs),
        "has 2 inputs; expected one",
    ),
    "batch": (
        "onnx",
        lambda linear: onnx_file(linear, sizes=[8, 28, 28, 1]),
        "takes 8 images at a time; expected 1",
    ),
    "external": (
        "onnx",
        lambda linear: onnx_file(linear, change=foreign_files.outside),
        "keeps weights in another file",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_taken_is_refused_in_a_sentence(
    name: str, linear: Linear, tmp_path: Path
) -> None:
    suffix, content, sentence = REFUSED[name]
    path = tmp_path / f"theirs.{suffix}"
    path.write_bytes(content(linear))
    with pytest.raises(UserError) as refused:
        planning.check_files(path, None)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


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


@pytest.mark.slow
@pytest.mark.long
def test_a_damaged_file_that_kills_a_runtime_kills_nothing_else(
    linear: Linear, prepared: Path
) -> None:
    """A tensor that its file does not have: LiteRT refuses it or dies, in a process of its own."""

    def damage(model: Any) -> None:
        model.subgraphs[0].operators[0].inputs = [0, 1000, 2]

    Path("theirs.tflite").write_bytes(changed(tflite_float(linear), damage))
    with pytest.raises(UserError, match=r"theirs.tflite (does not run: |is not a TensorFlow Lite)"):
        prove_file.prove(Question(Path("theirs.tflite")))


def test_pixels_are_stored_by_the_scale_of_the_file() -> None:
    values = np.array([0.0, 0.2, 1.0, 9.0], np.float32)
    assert foreign.stored(values, "int8", (1 / 255, -128)).tolist() == [-128, -77, 127, 127]
    assert foreign.stored(np.array([0.0, 255.0]), "int8", None).tolist() == [-128, 127]
    assert foreign.stored(np.array([0.0, 255.0]), "uint8", None).tolist() == [0, 255]
    assert foreign.stored(values, "float16", None).dtype == np.float16
    one = foreign.activated(np.array([[0.0], [50.0]]), foreign.SIGMOID)
    assert np.allclose(one, [[0.5, 0.5], [0.0, 1.0]])


@pytest.mark.slow
@pytest.mark.long
def test_the_command_prepares_the_data_and_says_by_its_status_what_came_of_it(
    project: Project, linear: Linear
) -> None:
    project.change({"verify.runtimes": ["litert"], "verify.processors": ["native"], **OWN_PROBLEM})
    (project.folder / "theirs.tflite").write_bytes(tflite_int8(linear))
    (project.folder / "coarse.tflite").write_bytes(tflite_int8(linear, levels=1))
    shown = project.run(*EDGEPROOF, "prove", "theirs.tflite")
    assert "10,000 images" in shown
    assert "Report: reports/prove.json" in shown
    done = project.attempt(*EDGEPROOF, "prove", "coarse.tflite", "--reference", "theirs.tflite")
    assert done.returncode == 1
    assert "| worse" in done.stdout
    values = YAML(typ="safe").load(project.folder / "params.yaml")
    assert values["model"]["path"] == "pipeline/none"
