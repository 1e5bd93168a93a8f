"""The model without Python: the folders, their contents, and the refusal of a target."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from benchmarks.integer_c.tflite_builder import Builder
from pipeline.config.boards import BOARDS
from pipeline.embedded import _resolver, browser, microcontroller
from pipeline.embedded._verified import LARGEST_MODEL, VerifiedFile
from pipeline.files.artifacts import Description
from pipeline.process.errors import UserError
from tests.conftest import Project

pytestmark = pytest.mark.slow


def measured_facts(finished: Project, target: str) -> dict[str, Any]:
    rows = json.loads((finished.folder / "reports/embed.json").read_text())["targets"]
    return dict(next(row["measured"] for row in rows if row["target"] == target))


def test_the_array_is_the_file_with_its_length_and_checksum(finished: Project) -> None:
    data = (finished.folder / "exported/tflite_int8.tflite").read_bytes()
    text = (finished.folder / "embedded/microcontroller/src/model_data.cpp").read_text()
    assert (
        bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2})\b", text.split("{", 1)[1]))
        == data
    )
    assert f"model_data_length = {len(data)};" in text
    assert f"model_data_crc32 = 0x{zlib.crc32(data):08x};" in text
    assert "alignas(16)" in text


GOLDEN_IN_THE_ARENA = """
import sys
import numpy as np
from serving.runtimes import Micro
model = Micro(open(sys.argv[1], "rb").read(), arena_bytes=int(sys.argv[2]))
np.save(sys.argv[3], model.probabilities(np.load(sys.argv[4])["images"]))
"""


def test_the_arena_suffices_and_gives_the_golden_vectors(finished: Project, tmp_path: Path) -> None:
    """In 64 bits, where pointers need more of it than on a microcontroller."""
    source = finished.folder / "embedded/microcontroller/src"
    arena = re.findall(r"#define MODEL_ARENA_BYTES (\d+)", (source / "model.h").read_text())[-1]
    assert int(arena) == measured_facts(finished, "microcontroller")["arena_bytes"]
    files = [
        finished.folder / "exported/tflite_int8.tflite",
        arena,
        tmp_path / "answers.npy",
        finished.folder / "evaluation/golden.npz",
    ]
    python = Path(sys.prefix) / "runtimes/tflite_micro/bin/python"
    subprocess.run([python, "-c", GOLDEN_IN_THE_ARENA, *files], check=True, capture_output=True)
    body = (source / "golden.h").read_text().split("golden_outputs", 1)[1]
    golden = np.array(re.findall(r"([\d.e+-]+)f\b", body), np.float32).reshape(-1, 10)
    np.testing.assert_array_equal(np.load(tmp_path / "answers.npy"), golden)


def test_only_the_operators_of_the_model_are_registered(finished: Project) -> None:
    text = (finished.folder / "embedded/microcontroller/src/operators.h").read_text()
    added = re.findall(r"operators\.Add(\w+)\(\)", text)
    assert added == [
        "Conv2D",
        "Dequantize",
        "FullyConnected",
        "MaxPool2D",
        "Quantize",
        "Reshape",
        "Softmax",
    ]
    assert f"MicroMutableOpResolver<{len(added)}>" in text


def test_the_card_lists_what_was_measured_for_each_target(finished: Project, bundle: Path) -> None:
    rows = json.loads((finished.folder / "reports/embed.json").read_text())["targets"]
    card = json.loads((bundle / "model_card.json").read_text())
    assert [{**row, "refused": None} for row in rows] == card["embedded"]
    page = (bundle / "MODEL_CARD.md").read_text()
    assert not re.findall(
        r"\| [a-z0-9]*_bytes[a-z_]* \||\d[eE]-\d",
        page.split("## Without Python", 1)[1].split("## Provenance")[0],
    )
    assert "| arena to reserve, bytes | " in page
    boards = measured_facts(finished, "microcontroller")["boards"]
    assert len(boards) > 20
    for row in boards:
        if row["board"] == "STM32F407 Discovery":  # as docs/microcontroller.md says
            assert row["ram_bytes"] == BOARDS["stm32f407"].ram_bytes
        sizes = f"{row['ram_bytes']:,} | {row['flash_bytes']:,}"
        assert f"| {row['board']} | {sizes} | {'yes' if row['fits'] else 'no'} |" in page
    for target in ("c", "microcontroller"):
        readme = (bundle / "embedded" / target / "README.md").read_text()
        assert "$" not in readme
        assert card["preprocessing"]["description"] in readme


def test_a_requested_target_that_refuses_the_model_stops_the_pipeline(
    finished: Project, tmp_path: Path
) -> None:
    copy = changed(
        finished, tmp_path, {"embed.targets": ["microcontroller"], "embed.arena_bytes": 4096}
    )
    output = copy.run("python", "-m", "pipeline.embed").splitlines()
    assert output[0].startswith("microcontroller: generating the code, compiling it, and running")
    assert output[1].startswith("microcontroller: skipped, as it needs an arena of ")
    done = copy.attempt("python", "-m", "pipeline.package")
    assert done.returncode == 1
    sentence = (
        r"error: no bundle: microcontroller refuses the model: it needs an arena of [\d,]+ bytes, "
        r"but embed\.arena_bytes allows 4,096; .*"
    )
    assert re.fullmatch(sentence, done.stderr.strip().splitlines()[-1])


def test_with_all_targets_those_whose_format_was_left_out_are_left_out(
    finished: Project, tmp_path: Path
) -> None:
    copy = changed(finished, tmp_path, {"embed.targets": "all"}, exported="tflite_float16")
    output = copy.run("python", "-m", "pipeline.embed")
    assert "microcontroller: left out, as export.formats lacks tflite_int8; add it there" in output
    assert json.loads((copy.folder / "reports/embed.json").read_text())["targets"] == []
    (readme,) = (copy.folder / "embedded").iterdir()  # DVC warns of an empty folder
    assert output.strip() in readme.read_text()


def test_with_all_targets_those_that_refuse_the_model_are_skipped_with_a_reason(
    finished: Project, tmp_path: Path
) -> None:
    copy = changed(finished, tmp_path, {"embed.targets": "all"})
    report = copy.folder / "reports/export.json"
    content = json.loads(report.read_text())
    content["formats"]["tflite_int8"] = {"error": "ValueError: no"}
    report.unlink()
    report.write_text(json.dumps(content))
    output = copy.run("python", "-m", "pipeline.embed")
    assert output.count(": skipped, as it is generated from tflite_int8, which no runtime ran") == 3
    rows = json.loads((copy.folder / "reports/embed.json").read_text())["targets"]
    assert all("which no runtime ran; add it" in row["refused"] for row in rows)


def test_an_operator_that_micro_lacks_is_named(finished: Project, tmp_path: Path) -> None:
    """RESHAPE is replaced by SELECT, which TensorFlow Lite Micro does not support."""
    data = bytearray((finished.folder / "exported/tflite_int8.tflite").read_bytes())
    network = tflite.Model.GetRootAsModel(data, 0)
    codes = [network.OperatorCodes(index) for index in range(network.OperatorCodesLength())]
    reshape = next(code for code in codes if code.BuiltinCode() == tflite.BuiltinOperator.RESHAPE)
    for field in (4, 10):  # deprecated_builtin_code and builtin_code in the table's index of fields
        data[reshape._tab.Pos + reshape._tab.Offset(field)] = tflite.BuiltinOperator.SELECT
    (tmp_path / "select.tflite").write_bytes(data)
    with pytest.raises(
        UserError,
        match=r"refuses select\.tflite \(it has no operator SELECT\); use layers and activations",
    ):
        microcontroller.board_fit(tmp_path / "select.tflite")


def test_a_network_whose_layers_are_too_large_for_a_page_is_refused(tmp_path: Path) -> None:
    """One convolution with 64 filters on a picture of 1,100 x 1,100 needs 77 MB."""
    builder = Builder()
    image = builder.tensor((1, 1100, 1100, 1), "int8", [1 / 255], -128)
    weights = builder.constant(np.ones((64, 1, 1, 1), np.int8), [0.01] * 64)
    bias = builder.constant(np.zeros(64, np.int32), [0.01 / 255] * 64)
    filtered = builder.tensor((1, 1100, 1100, 64), "int8", [0.01])
    means = builder.tensor((1, 64), "int8", [0.01])
    size = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    options = {"kind": "Conv2DOptions", **size}
    builder.operator("CONV_2D", [image, weights, bias], filtered, **options)
    axes = builder.constant(np.array([1, 2], np.int32))
    builder.operator("MEAN", [filtered, axes], means, kind="ReducerOptions", keepDims=False)
    file = tmp_path / "tflite_int8.tflite"
    file.write_bytes(builder.finish(image, means))
    data = Description("large", [str(number) for number in range(64)], (1100, 1100, 1), {}, [])
    images = np.zeros((1, 1100, 1100, 1), np.uint8)
    model = VerifiedFile(
        name="large",
        version="1.0.0",
        format="tflite_int8",
        file=file,
        data=data,
        golden_images=images,
        golden_labels=np.zeros(1, np.int64),
        test_images=images,
        programs=("x86_64",),
        arena_bytes=0,
        max_loss=0.0,
    )
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        UserError,
        match=r"^it needs [\d,]+ bytes of memory for one image, but a page has 67,108,864; "
        r"use smaller images or fewer filters$",
    ):
        browser.write(tmp_path / "folder", model)
    assert not list((tmp_path / "folder").iterdir())


def test_a_file_that_is_too_large_to_be_written_out_as_c_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tflite_int8.tflite"
    file.write_bytes(bytes(LARGEST_MODEL + 1))
    data = Description("large", ["0", "1"], (28, 28, 1), {}, [])
    none = np.zeros((0, 28, 28, 1), np.uint8)
    model = VerifiedFile(
        "large", "1.0.0", "tflite_int8", file, data, none, np.zeros(0), none, (), 0, 0.0
    )
    with pytest.raises(UserError, match=r"8,388,609 bytes; C code is generated from at most 8,388"):
        _ = model.code


def test_the_list_of_targets_may_be_empty(finished: Project, tmp_path: Path) -> None:
    copy = changed(finished, tmp_path, {"embed.targets": []})
    assert copy.run("python", "-m", "pipeline.embed") == ""
    assert json.loads((copy.folder / "reports/embed.json").read_text())["targets"] == []
    assert "embed.targets is []" in (copy.folder / "embedded/README.md").read_text()


def changed(
    finished: Project, folder: Path, values: dict[str, Any], exported: str | None = None
) -> Project:
    """A copy of the project with changed params, and only the format `exported` if given."""
    copy = finished.copy(folder / "copy")
    copy.change(values)
    if exported:
        report = copy.folder / "reports/export.json"
        content = json.loads(report.read_text())
        content["formats"] = {exported: content["formats"][exported]}
        report.unlink()
        report.write_text(json.dumps(content))
    return copy


def test_operators_are_spelled_as_the_resolver_spells_them() -> None:
    """As in tensorflow/lite/micro/micro_mutable_op_resolver.h."""
    spelled = {
        "CONV_2D": "Conv2D",
        "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
        "MAX_POOL_2D": "MaxPool2D",
        "FULLY_CONNECTED": "FullyConnected",
        "LEAKY_RELU": "LeakyRelu",
        "RELU6": "Relu6",
        "PADV2": "PadV2",
        "STRIDED_SLICE": "StridedSlice",
        "EXP": "Exp",
        "ADD_N": "AddN",
    }
    assert {operator: _resolver.method(operator) for operator in spelled} == spelled
