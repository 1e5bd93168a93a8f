"""The verdicts on a file, on every runtime and in C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.process.errors import UserError
from pipeline.proving import integer_c, prove_file
from pipeline.proving.prove_file import ProveOptions
from tests.conftest import EDGEPROOF, OWN_PROBLEM, Project, emulated
from tests.foreign_files import Linear, onnx_file, tflite_float, tflite_int8
from tests.prove_file.conftest import compared, configure, report

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


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
    assert prove_file.prove(ProveOptions(Path("theirs.tflite"), reference))
    file_report = report()
    assert file_report.compared_with.origin is not None
    assert file_report.compared_with.origin.file == reference.name
    pair = compared(file_report, "litert")
    assert pair.keras_accuracy == file_report.compared_with.accuracy
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
    assert not prove_file.prove(ProveOptions(Path("theirs.tflite"), Path("float.tflite")))
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
        prove_file.prove(ProveOptions(Path("theirs.tflite"), Path("seven.tflite")))
    dice = np.random.default_rng(0)
    other = Linear(dice.normal(size=linear.kernel.shape).astype(np.float32), linear.bias)
    Path("other.tflite").write_bytes(tflite_float(other))
    with pytest.raises(UserError, match=r"other.tflite expects is not clear: .* hardly better"):
        prove_file.prove(ProveOptions(Path("theirs.tflite"), Path("other.tflite")))
    Path("coarse.tflite").write_bytes(tflite_int8(linear, levels=1))
    prove_file.prove(ProveOptions(Path("theirs.tflite"), Path("coarse.tflite")))
    shown = " ".join(capsys.readouterr().out.split())
    assert "Warning: theirs.tflite is right on significantly more images than coarse" in shown


@pytest.mark.slow
@pytest.mark.long
def test_validation_images_count_if_that_is_asked_for(linear: Linear, prepared: Path) -> None:
    configure({"verify.runtimes": ["onnxruntime"]})
    Path("theirs.onnx").write_bytes(onnx_file(linear))
    prove_file.prove(ProveOptions(Path("theirs.onnx"), validation=True))
    pair = compared(report(), "onnxruntime")
    assert (pair.images, pair.test_images) == (1600, 1000)


@pytest.mark.slow
@pytest.mark.long
def test_an_emulated_processor_computes_what_this_one_does(linear: Linear, prepared: Path) -> None:
    emulated("nehalem", "litert")
    configure({"verify.processors": ["native", "nehalem"]})
    Path("theirs.tflite").write_bytes(tflite_int8(linear))
    assert prove_file.prove(ProveOptions(Path("theirs.tflite")))
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
    assert prove_file.prove(ProveOptions(Path("theirs.tflite"), c=Path("code")))
    c = report().c
    assert c is not None
    assert c.images == 1000
    assert "int network_run(const int8_t *input" in Path("code/network.h").read_text("utf-8")
    with pytest.raises(UserError, match="--c code is not an empty folder"):
        prove_file.prove(ProveOptions(Path("theirs.tflite"), c=Path("code")))
    Path("float.tflite").write_bytes(tflite_float(linear))
    with pytest.raises(UserError, match=r"no integer C can be made of float.tflite: its FULLY"):
        prove_file.prove(ProveOptions(Path("float.tflite"), c=Path("other")))


@pytest.mark.slow
@pytest.mark.long
def test_c_that_differs_is_not_written(
    linear: Linear, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The C of one file is compared with what TensorFlow Lite Micro computes of another."""
    configure({"verify.runtimes": ["litert"]})
    Path("theirs.tflite").write_bytes(tflite_int8(linear))
    Path("coarse.tflite").write_bytes(tflite_int8(linear, levels=1))
    translate = integer_c.translate
    monkeypatch.setattr(integer_c, "translate", lambda path: translate(Path("coarse.tflite")))
    with pytest.raises(UserError, match=r"the C of theirs.tflite answers [\d,]+ of 1,000 images"):
        prove_file.prove(ProveOptions(Path("theirs.tflite"), c=Path("code")))
    assert not Path("code").exists()


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
