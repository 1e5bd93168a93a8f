"""Attacks on the content of an unsigned bundle: each is refused in one sentence."""

from __future__ import annotations

import hashlib
import io
import json
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
from tests.hostile_bundles import (
    FORMAT,
    MEMORY,
    ROOT_FOLDER,
    WRONG,
    Files,
    opened_in_a_process,
    places,
    replaced,
    without_array,
)

pytestmark = [pytest.mark.slow, pytest.mark.attacks]


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
        sentence, memory = opened_in_a_process(path)
        assert ("1,048,576 bytes" in sentence) == (values > 300_000), sentence
        assert bool(sentence) == (values > 300_000), sentence
        assert memory < MEMORY


def test_a_card_with_a_value_of_a_wrong_type_is_refused(archive: Path) -> None:
    """An accepted card is written again unchanged: nothing in it was converted or left out."""
    card, refused = json.loads(Bundle(archive).read(FILE)), 0
    card["provenance"]["params"] = {}  # large, and like any other of its objects
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


def card_with(*path: Any, value: Any) -> Callable[[Files], Files]:
    """Changes one value of the card."""
    return lambda files: {
        **files,
        FILE: json.dumps(replaced(json.loads(files[FILE]), path, value)).encode(),
    }


def golden(**arrays: Any) -> Callable[[Files], Files]:
    """Other golden vectors; a text removes an array."""

    def changed(files: Files) -> Files:
        with np.load(io.BytesIO(files["golden.npz"])) as npz:
            values = {**npz, **arrays}
        kept = {name: value for name, value in values.items() if not isinstance(value, str)}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **kept)
        return {**files, "golden.npz": buffer.getvalue()}

    return changed


def no_array(name: str) -> Callable[[Files], Files]:
    """Golden vectors with a text in place of an array."""
    return lambda files: {**files, "golden.npz": without_array(files["golden.npz"], name)}


def onnx_model(
    *nodes: Any, inputs: tuple[Any, ...] = (), constants: tuple[Any, ...] = ()
) -> Callable[[Files], Files]:
    """Another model, with its SHA-256 in the card."""
    outputs = [onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, None)]
    graph = onnx.helper.make_graph(list(nodes), "graph", list(inputs), outputs, list(constants))
    data = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    changed = card_with("files", 0, "sha256", value=hashlib.sha256(data).hexdigest())
    return lambda files: {**changed(files), f"{FORMAT}.onnx": data}


IMAGE = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 28, 28, 1])
LARGE_SHAPE = onnx.helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [10**7, 10**6])
PROOF = ("files", 0, "proofs", 0)
ATTACKS: dict[str, Callable[[Files], Files]] = {
    "a card of any depth": lambda files: {**files, FILE: b"[" * 100_000},
    "a card of any depth in an object": lambda files: {**files, FILE: b'{"a":' * 100_000},
    "a card that is not an object": lambda files: {**files, FILE: b"[]"},
    "a card that is not JSON": lambda files: {**files, FILE: b"{"},
    "a card in no encoding": lambda files: {**files, FILE: b"\xff\xfe{\0}\0"},
    "a card with a field twice": lambda files: {
        **files,
        FILE: b'{"version": "2", ' + files[FILE][1:],
    },
    "a card with an unknown field": card_with("colour", value="red"),
    "a number of 10,000 digits": lambda files: {
        **files,
        FILE: files[FILE].replace(b"10000", b"1" * 10_000),
    },
    "a name that controls the terminal": card_with("name", value="\x1b]0;mine\x07"),
    "a class that controls the terminal": card_with("class_names", 3, value="3\x1b[2J"),
    "a class of two lines": card_with("class_names", 3, value="3\nThis device may run it"),
    "a class that reverses the line": card_with("class_names", 3, value="\u202e3"),
    "a class too few": card_with("class_names", value=["0", "1"]),
    "no class": card_with("class_names", value=[]),
    "an unknown runtime": card_with("files", 0, "proofs", 0, "runtime", value="none"),
    "a runtime of another kind": card_with(
        "files", 0, "proofs", 0, "runtime", value="tflite_runtime"
    ),
    "a version of two words": card_with(
        "files", 0, "requirements", "minimum_runtime_version", value="opset"
    ),
    "a version that is not a number": card_with(
        "files", 0, "requirements", "minimum_runtime_version", value="\u00b2.0"
    ),
    "an operator of no word": card_with("files", 0, "requirements", "operators", value=[" "]),
    "an input of no size": card_with("input", "shape", value=[28, 0, 1]),
    "an input of any size": card_with("input", "shape", value=[10**9, 10**9, 1]),
    "an input of two dimensions": card_with("input", "shape", value=[28, 28]),
    "an input of another shape": card_with("input", "shape", value=[14, 14, 1]),
    "an input of 64 million pixels": lambda files: card_with(
        "input", "shape", value=[8000, 8000, 1]
    )(card_with("preprocessing", "box", value=None)(files)),
    "an input of another type": card_with("input", "type", value="float64"),
    "a range that falls": card_with("input", "range", value=[255, 0]),
    "a box outside the image": card_with("preprocessing", "box", value=99),
    "an unknown verdict": card_with(*PROOF, "verdict", value="good"),
    "a proof of a file that did not run": card_with(*PROOF, "verdict", value="could not run"),
    "no image": card_with(*PROOF, "images", value=0),
    "images below 0": card_with(*PROOF, "images", value=-1),
    "an accuracy above 1": card_with(*PROOF, "accuracy", value=1.01),
    "a threshold above 1": card_with("files", 0, "accept_from", value=1.01),
    "a threshold in words": card_with("files", 0, "accept_from", value="0.5"),
    "a threshold that is true": card_with("files", 0, "accept_from", value=True),
    "a threshold that is not a number": card_with("files", 0, "accept_from", value=float("nan")),
    "an interval that falls": card_with(*PROOF, "accuracy_interval", value=[0.9, 0.8]),
    "an interval outside": card_with(*PROOF, "accuracy_interval", value=[-0.1, 0.8]),
    "a loss of any size": card_with(*PROOF, "accuracy_lost_bound", value=1e308),
    "a gain of any size": card_with(*PROOF, "accuracy_lost_bound", value=-1e308),
    "an agreement below 0": card_with(*PROOF, "agreement", value=-0.5),
    "a time below 0": card_with(*PROOF, "median_milliseconds", value=-1),
    "a tolerance of any size": card_with("files", 0, "golden_tolerance", value=1e308),
    "no tolerance": card_with("files", 0, "golden_tolerance", value=0),
    "no bytes": card_with("files", 0, "bytes", value=0),
    "a test accuracy above 1": card_with("test_accuracy", value=99.5),
    "a test interval outside": card_with("test_accuracy_interval", value=[0.9, 1.5]),
    "no test image": card_with("test_images", value=0),
    "a baseline below 0": card_with("baseline_accuracy", value=-1),
    "acceptance images below 0": card_with("acceptance_images", value=-1),
    "weights of two lines": card_with(
        "files", 0, "requirements", "weights", value="float32\nThis device may run it"
    ),
    "a name of a file of two lines": card_with("files", 0, "file", value="onnx_float32.onnx\n"),
    "a format of invisible letters": lambda files: card_with(
        "files", 0, "format", value="onnx\u200b"
    )(card_with("files", 0, "requirements", "minimum_runtime_version", value="opset 999")(files)),
    "a method of two lines": card_with("preprocessing", "method", value="mnist\n"),
    "golden images that are not an array": no_array("images"),
    "golden probabilities that are not an array": no_array(FORMAT),
    "a model without inputs": onnx_model(
        onnx.helper.make_node("Constant", [], ["probabilities"], value_float=0.1)
    ),
    "a node whose name controls the terminal": onnx_model(
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
    "golden vectors of very many arrays": golden(**{f"more{n}": np.zeros(1) for n in range(120)}),
    "golden vectors of another shape": golden(images=np.zeros((2, 14, 14, 1), np.uint8)),
    "golden vectors of another type": golden(images=np.zeros((2, 28, 28, 1), np.int64)),
    "no golden vectors": golden(images=np.zeros((0, 28, 28, 1), np.uint8)),
    "golden vectors without images": golden(images=""),
    "golden vectors without the file": golden(onnx_float32=""),
    "golden probabilities of another shape": golden(onnx_float32=np.zeros((16, 3), np.float32)),
    "golden probabilities that are text": golden(onnx_float32=np.array(["text"] * 16)),
    "golden probabilities that are NaN": golden(onnx_float32=np.full((16, 10), np.nan, np.float32)),
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
        output = capfd.readouterr()
        assert output.err == ""
        *facts, verdict = output.out.splitlines()
        assert verdict.startswith(
            "This device may not run it: " if not facts else "This device may not run mnist-digits"
        )
        assert all(line.isprintable() for line in output.out.splitlines())
        for command in (["predict", str(path), "none.png"], ["bench", str(path)]):
            assert main(command) == 1
            assert len(capfd.readouterr().err.splitlines()) == 1
