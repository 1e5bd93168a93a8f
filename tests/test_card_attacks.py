"""Attacks on the content of a bundle that nothing vouches for: each is refused in one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pipeline.bundle import archive as archives
from serving import Bundle, BundleError
from serving.__main__ import main
from serving.model_card import FILE, ModelCard
from tests.attacks import (
    FORMAT,
    MEMORY,
    OPEN,
    ROOT_FOLDER,
    WRONG,
    Files,
    places,
    replaced,
    without_array,
)
from tests.conftest import ROOT

pytest_plugins = ["tests.attacks"]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("values", [8 << 20, 300_000], ids=["too large", "as large as it may be"])
def test_a_card_of_very_many_values_takes_little_memory(
    files: Files, tmp_path: Path, values: int
) -> None:
    many = files[FILE].replace(
        b'"provenance": {', b'"provenance": {"x": [' + b"[]," * values + b"0], "
    )
    for name, data in {**files, FILE: many}.items():
        (tmp_path / ROOT_FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ROOT_FOLDER / name).write_bytes(data)
    archives.write(tmp_path / ROOT_FOLDER, tmp_path / "card.tar.gz", ROOT_FOLDER)
    for path in (tmp_path / "card.tar.gz", tmp_path / ROOT_FOLDER):
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        *sentence, memory = done.stdout.splitlines()
        assert ["1,048,576 bytes" in each for each in sentence] == (
            [True] if values > 300_000 else []
        )
        assert int(memory) < MEMORY


def test_whatever_stands_in_a_card_has_the_type_of_its_field_or_is_refused(archive: Path) -> None:
    """A card that is accepted says the same when it is written again: nothing in it was converted or left out."""
    card, refused = json.loads(Bundle(archive).read(FILE)), 0
    card["provenance"]["params"] = {}  # as any other of its objects, and large
    for path in places(card):
        for other in WRONG[: None if path else -1]:
            changed = replaced(card, path, other)
            try:
                parsed = ModelCard.parse(json.dumps(changed).encode())
            except BundleError as error:
                refused += 1
                assert str(error).isprintable()
                assert str(error).startswith("model_card.json is not a model card (")
            else:
                again = json.loads(parsed.dump())
                assert {**again, **changed} == again or other is ..., path
    assert refused > 1500


def of(*path: Any, is_: Any) -> Callable[[Files], Files]:
    """The change of one place in the card."""
    return lambda files: {
        **files,
        FILE: json.dumps(replaced(json.loads(files[FILE]), path, is_)).encode(),
    }


def golden(**arrays: Any) -> Callable[[Files], Files]:
    """Other golden vectors; a text takes one of them away."""

    def changed(files: Files) -> Files:
        with np.load(io.BytesIO(files["golden.npz"])) as held:
            own = {**held, **arrays}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, **{name: array for name, array in own.items() if not isinstance(array, str)}
        )
        return {**files, "golden.npz": buffer.getvalue()}

    return changed


def no_array(name: str) -> Callable[[Files], Files]:
    """Golden vectors in which a text stands for an array."""
    return lambda files: {**files, "golden.npz": without_array(files["golden.npz"], name)}


def onnx_model(
    *nodes: Any, inputs: tuple[Any, ...] = (), constants: tuple[Any, ...] = ()
) -> Callable[[Files], Files]:
    """Another model, of which the card knows."""
    outputs = [onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, None)]
    graph = onnx.helper.make_graph(list(nodes), "graph", list(inputs), outputs, list(constants))
    data = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    changed = of("files", 0, "sha256", is_=hashlib.sha256(data).hexdigest())
    return lambda files: {**changed(files), f"{FORMAT}.onnx": data}


IMAGE = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 28, 28, 1])
LARGE_SHAPE = onnx.helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [10**7, 10**6])
PROOF = ("files", 0, "proofs", 0)
ATTACKS: dict[str, Callable[[Files], Files]] = {
    "a card of any depth": lambda files: {**files, FILE: b"[" * 100_000},
    "a card of any depth in an object": lambda files: {**files, FILE: b'{"a":' * 100_000},
    "a card that is no object": lambda files: {**files, FILE: b"[]"},
    "a card that is no JSON": lambda files: {**files, FILE: b"{"},
    "a card in no encoding": lambda files: {**files, FILE: b"\xff\xfe{\0}\0"},
    "a card with a field twice": lambda files: {
        **files,
        FILE: b'{"version": "2", ' + files[FILE][1:],
    },
    "a card with a field of nobody": of("colour", is_="red"),
    "a number of 10,000 digits": lambda files: {
        **files,
        FILE: files[FILE].replace(b"10000", b"1" * 10_000),
    },
    "a name that commands the terminal": of("name", is_="\x1b]0;mine\x07"),
    "a class that commands the terminal": of("class_names", 3, is_="3\x1b[2J"),
    "a class of two lines": of("class_names", 3, is_="3\nThis device may run it"),
    "a class that turns the line round": of("class_names", 3, is_="\u202e3"),
    "a class too few": of("class_names", is_=["0", "1"]),
    "no class": of("class_names", is_=[]),
    "a runtime of nobody": of("files", 0, "proofs", 0, "runtime", is_="none"),
    "a runtime of another kind": of("files", 0, "proofs", 0, "runtime", is_="tflite_runtime"),
    "a version of two words": of(
        "files", 0, "requirements", "minimum_runtime_version", is_="opset"
    ),
    "a version that is no number": of(
        "files", 0, "requirements", "minimum_runtime_version", is_="\u00b2.0"
    ),
    "an operator of no word": of("files", 0, "requirements", "operators", is_=[" "]),
    "an input of no size": of("input", "shape", is_=[28, 0, 1]),
    "an input of any size": of("input", "shape", is_=[10**9, 10**9, 1]),
    "an input of two dimensions": of("input", "shape", is_=[28, 28]),
    "an input of another shape": of("input", "shape", is_=[14, 14, 1]),
    "an input of another type": of("input", "type", is_="float64"),
    "a range that falls": of("input", "range", is_=[255, 0]),
    "a box outside the image": of("preprocessing", "box", is_=99),
    "a verdict of nobody": of(*PROOF, "verdict", is_="good"),
    "a proof of what did not run": of(*PROOF, "verdict", is_="could not run"),
    "no image": of(*PROOF, "images", is_=0),
    "images below 0": of(*PROOF, "images", is_=-1),
    "an accuracy above 1": of(*PROOF, "accuracy", is_=1.01),
    "an interval that falls": of(*PROOF, "accuracy_interval", is_=[0.9, 0.8]),
    "an interval outside": of(*PROOF, "accuracy_interval", is_=[-0.1, 0.8]),
    "a loss of any size": of(*PROOF, "accuracy_lost_bound", is_=1e308),
    "a gain of any size": of(*PROOF, "accuracy_lost_bound", is_=-1e308),
    "an agreement below 0": of(*PROOF, "agreement", is_=-0.5),
    "a time below 0": of(*PROOF, "median_milliseconds", is_=-1),
    "a tolerance of any size": of("files", 0, "golden_tolerance", is_=1e308),
    "no tolerance": of("files", 0, "golden_tolerance", is_=0),
    "no bytes": of("files", 0, "bytes", is_=0),
    "a test accuracy above 1": of("test_accuracy", is_=99.5),
    "a test interval outside": of("test_accuracy_interval", is_=[0.9, 1.5]),
    "no test image": of("test_images", is_=0),
    "a baseline below 0": of("baseline_accuracy", is_=-1),
    "acceptance images below 0": of("acceptance_images", is_=-1),
    "weights of two lines": of(
        "files", 0, "requirements", "weights", is_="float32\nThis device may run it"
    ),
    "a name of a file of two lines": of("files", 0, "file", is_="onnx_float32.onnx\n"),
    "a format of letters that nobody sees": lambda files: of(
        "files", 0, "format", is_="onnx\u200b"
    )(of("files", 0, "requirements", "minimum_runtime_version", is_="opset 999")(files)),
    "a method of two lines": of("preprocessing", "method", is_="mnist\n"),
    "golden images that are no array": no_array("images"),
    "golden answers that are no array": no_array(FORMAT),
    "a model without inputs": onnx_model(
        onnx.helper.make_node("Constant", [], ["probabilities"], value_float=0.1)
    ),
    "a node whose name commands the terminal": onnx_model(
        onnx.helper.make_node(
            "ConstantOfShape", ["shape"], ["large"], name="\x1b]0;mine\x07\nThis device may run it"
        ),
        onnx.helper.make_node("ReduceSum", ["large"], ["probabilities"], keepdims=0),
        inputs=(IMAGE,),
        constants=(LARGE_SHAPE,),
    ),
    "golden vectors that are text": lambda files: {**files, "golden.npz": b"text"},
    "golden vectors cut short": lambda files: {**files, "golden.npz": files["golden.npz"][:-50]},
    "golden vectors that are code": golden(images=np.array([{}], dtype=object)),
    "golden vectors of another shape": golden(images=np.zeros((2, 14, 14, 1), np.uint8)),
    "golden vectors of another type": golden(images=np.zeros((2, 28, 28, 1), np.int64)),
    "no golden vectors": golden(images=np.zeros((0, 28, 28, 1), np.uint8)),
    "golden vectors without images": golden(images=""),
    "golden vectors of no file": golden(onnx_float32=""),
    "golden answers of another shape": golden(onnx_float32=np.zeros((16, 3), np.float32)),
    "golden answers that are text": golden(onnx_float32=np.array(["text"] * 16)),
    "golden answers that are no number": golden(onnx_float32=np.full((16, 10), np.nan, np.float32)),
    "golden vectors that are a bomb": golden(bomb=np.zeros((100_000, 28, 28, 1), np.uint8)),
}


@pytest.mark.parametrize("label", ATTACKS)
def test_check_answers_in_one_sentence(
    label: str, files: Files, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, data in ATTACKS[label](files).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    archives.write(tmp_path, tmp_path.with_suffix(".tar.gz"), ROOT_FOLDER)
    for path in (tmp_path, tmp_path.with_suffix(".tar.gz")):
        assert main(["check", str(path)]) == 1
        told = capfd.readouterr()
        assert told.err == ""
        *facts, verdict = told.out.splitlines()
        assert verdict.startswith(
            "This device may not run it: " if not facts else "This device may not run mnist-digits"
        )
        assert all(line.isprintable() for line in told.out.splitlines())
        assert main(["predict", str(path), "none.png"]) == 1
        assert len(capfd.readouterr().err.splitlines()) == 1
