"""Files that cannot run or be taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.files.reports.verify import FailedPair
from pipeline.planning import prove as planning
from pipeline.process.errors import UserError
from pipeline.proving import prove_file
from pipeline.proving.prove_file import ProveOptions
from tests import foreign_files
from tests.foreign_files import Linear, changed, onnx_file, tflite_float
from tests.prove_file.conftest import configure, report

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


@pytest.mark.slow
@pytest.mark.long
def test_what_a_runtime_cannot_run_is_said_in_its_words(linear: Linear, prepared: Path) -> None:
    configure({"verify.runtimes": ["litert", "tflite_micro"]})
    Path("theirs.tflite").write_bytes(tflite_float(linear, weights="int8"))
    assert prove_file.prove(ProveOptions(Path("theirs.tflite")))
    failed = report().pairs[1]
    assert isinstance(failed, FailedPair)
    assert failed.reason == "Input type: FLOAT32 with filter type: INT8 not supported"


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
        prove_file.prove(ProveOptions(Path("theirs.tflite")))
