"""The model without Python: the folders, correct probabilities, and the refusal of a target."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tflite
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from pipeline.embedded import _codegen, _zig, browser, c, microcontroller
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.artifacts import Array, Description
from pipeline.process.errors import UserError
from serving import gate
from tests.conftest import Project
from tests.test_gate import gate_outcomes

pytestmark = pytest.mark.slow

PROGRAM = Path("embedded/c/programs") / f"classify-{c.HERE}"


def measured_facts(finished: Project, target: str) -> dict[str, Any]:
    rows = json.loads((finished.folder / "reports/embed.json").read_text())["targets"]
    return dict(next(row["measured"] for row in rows if row["target"] == target))


def classify(
    finished: Project, *names: str, data: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [finished.folder / PROGRAM, *names], input=data, capture_output=True, check=False
    )


def three_images(finished: Project) -> Array:
    return np.asarray(np.load(finished.folder / "data/prepared/test/images.npy", mmap_mode="r")[:3])


def png(pixels: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_the_c_gives_the_classes_of_onnx_runtime(finished: Project) -> None:
    measured = measured_facts(finished, "c")
    assert measured["test_images"] == 50
    assert measured["agreement_with_onnxruntime"] == 1
    assert measured["largest_difference"] < 1e-5
    assert set(measured["program_bytes"]) == {"aarch64", "armv7", "x86_64"}


def test_the_c_reproduces_the_golden_vectors(finished: Project, tmp_path: Path) -> None:
    folder = finished.folder / "embedded/c"
    _zig.build(
        folder,
        [*_codegen.SOURCES, "self_test.c"],
        tmp_path / "self_test",
        *_zig.C99,
        "-Wall",
        "-Wextra",
        "-lm",
    )
    done = subprocess.run([tmp_path / "self_test"], capture_output=True, text=True, check=True)
    assert "golden vectors, largest difference" in done.stdout


def test_the_program_reads_png_pgm_and_raw_pixels_alike(finished: Project, tmp_path: Path) -> None:
    pixels = three_images(finished)[0, ..., 0]
    (tmp_path / "a.png").write_bytes(png(pixels))
    (tmp_path / "a.pgm").write_bytes(b"P5 28 28 255\n" + pixels.tobytes())
    (tmp_path / "a.raw").write_bytes(pixels.tobytes())
    done = classify(finished, *(str(tmp_path / f"a.{kind}") for kind in ("png", "pgm", "raw")))
    answers = [line.split("\t", 1)[1] for line in done.stdout.decode().splitlines()]
    assert len(answers) == 3
    assert len(set(answers)) == 1
    assert sum(map(float, answers[0].split("\t")[1:])) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "its 0 bytes are not a multiple of 784"),
        (b"x" * 785, "its 785 bytes are not a multiple of 784"),
        (png(np.zeros((28, 29), np.uint8)), "is 29 x 28 pixels; expected 28 x 28"),
        (png(np.zeros((28, 28), np.uint8))[:50], "is damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "is damaged"),
        (b"P5 999999999 999999999 255\n", "is damaged"),
    ],
)
def test_the_program_refuses_anything_but_an_image_in_one_message(
    finished: Project, data: bytes, message: str
) -> None:
    done = classify(finished, "-", data=data)
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_the_program_refuses_a_png_with_any_bit_flipped(finished: Project) -> None:
    data = png(three_images(finished)[0, ..., 0])
    assert classify(finished, "-", data=data).returncode == 0
    for bit in np.random.default_rng(0).choice(8 * len(data), 200, replace=False).tolist():
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        done = classify(finished, "-", data=bytes(flipped))
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, b"", 1), bit


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        len(content).to_bytes(4, "big")
        + kind
        + content
        + zlib.crc32(kind + content).to_bytes(4, "big")
    )


def test_the_program_checks_the_checksum_of_the_pixels_and_what_follows_the_end(
    finished: Project,
) -> None:
    data = png(three_images(finished)[0, ..., 0])
    start = data.index(b"IDAT") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    before, pixels, after = (
        data[:start],
        data[start + 8 : start + 8 + length],
        data[start + 12 + length :],
    )
    expected = classify(finished, "-", data=data)
    parts = before + chunk(b"IDAT", pixels[:40]) + chunk(b"IDAT", pixels[40:]) + after
    assert classify(finished, "-", data=parts).stdout == expected.stdout
    wrong = before + chunk(b"IDAT", pixels[:-1] + bytes([pixels[-1] ^ 1])) + after
    for picture, fault in (
        (wrong, b"a checksum is wrong"),
        (data + b"more", b"something follows its end"),
        (data[:-12], b"cut short"),
    ):
        done = classify(finished, "-", data=picture)
        assert (done.returncode, done.stderr) == (1, b"error: - is damaged: " + fault + b"\n")


GATE = r"""
#include <stdio.h>
#include "gate.h"
int main(void)
{
    double lost, gained, total, allowed, low, high;
    while (scanf("%lf %lf %lf %lf", &lost, &gained, &total, &allowed) == 4) {
        gate_interval(total - lost, total, &low, &high);
        printf("%d %.17g %.17g %.17g %.17g %ld\n", gate_exceeds(lost, gained, total, allowed),
               gate_bound(lost, gained, total), gate_mcnemar(lost, gained), low, high,
               gate_images_needed(allowed, lost / total, gained / total));
    }
    return 0;
}
"""


def test_the_gate_in_c_agrees_with_python(tmp_path: Path) -> None:
    (tmp_path / "gates.c").write_text(GATE)
    for name in ("gate.c", "gate.h"):
        (tmp_path / name).write_bytes((c.TEMPLATES / name).read_bytes())
    _zig.build(
        tmp_path,
        ["gates.c", "gate.c"],
        tmp_path / "gates",
        *_zig.C99,
        "-Wall",
        "-Wextra",
        "-Werror",
        "-lm",
    )
    outcomes = gate_outcomes()
    cases = "".join(" ".join(map(repr, outcome)) + "\n" for outcome in outcomes)
    done = subprocess.run(
        [tmp_path / "gates"], input=cases, capture_output=True, text=True, check=True
    )
    for outcome, line in zip(outcomes, done.stdout.splitlines(), strict=True):
        lost, gained, total, allowed = outcome
        exceeds, bound, p_value, low, high, needed = map(float, line.split())
        assert bool(exceeds) == gate.exceeds(lost, gained, total, allowed), outcome
        assert bound == pytest.approx(gate.accuracy_lost_bound(lost, gained, total), abs=1e-9), (
            outcome
        )
        assert p_value == pytest.approx(gate.mcnemar(lost, gained), abs=1e-9), outcome
        assert (low, high) == pytest.approx(
            gate.accuracy_interval(total - lost, total), abs=1e-9
        ), outcome
        assert int(needed) == (gate.images_needed(allowed, lost / total, gained / total) or 0), (
            outcome
        )


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
    body = (source / "golden.h").read_text().split("golden_probabilities", 1)[1]
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
    copy.run("python", "-m", "pipeline.embed")
    done = copy.attempt("python", "-m", "pipeline.package")
    assert done.returncode == 1
    sentence = (
        r"error: no bundle: microcontroller refuses the model: it needs an arena of [\d,]+ bytes, "
        r"but embed\.arena_bytes allows 4,096; .*"
    )
    assert re.fullmatch(sentence, done.stderr.strip().splitlines()[-1])


def test_with_all_targets_those_that_refuse_the_model_are_skipped_with_a_reason(
    finished: Project, tmp_path: Path
) -> None:
    copy = changed(finished, tmp_path, {"embed.targets": "all"}, exported="tflite_float16")
    copy.run("python", "-m", "pipeline.embed")
    rows = json.loads((copy.folder / "reports/embed.json").read_text())["targets"]
    assert all(
        f"it is generated from {row['format']}, which no runtime ran; add it to export.formats"
        in row["refused"]
        for row in rows
    )
    assert not list((copy.folder / "embedded").iterdir())


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


def test_a_network_whose_layers_are_too_large_for_the_stack_is_refused(tmp_path: Path) -> None:
    """One convolution with 64 filters on a picture of 640 x 640 needs 100 MB."""
    weights = numpy_helper.from_array(np.ones((64, 1, 3, 3), np.float32), "weights")
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["pixels", "weights"], ["filtered"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["filtered"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["means"]),
        helper.make_node("Softmax", ["means"], ["probabilities"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, 640, 640])
    probabilities = helper.make_tensor_value_info(
        "probabilities", TensorProto.FLOAT, ["N", 64, 1, 1]
    )
    graph = helper.make_graph(nodes, "large", [image], [probabilities], [weights])
    file = tmp_path / "onnx_float32.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file
    )
    data = Description("large", [str(number) for number in range(64)], (640, 640, 1), {}, [])
    images = np.zeros((1, 640, 640, 1), np.uint8)
    (tmp_path / "folder").mkdir()
    model = VerifiedFile(
        "large",
        "1.0.0",
        "onnx_float32",
        file,
        data,
        images,
        np.zeros((1, 64), np.float32),
        images,
        ("x86_64",),
        0,
    )
    for target, limit in (
        (c, "of stack, but Linux gives 8,257,536"),
        (browser, "of stack for one image, but a page has 67,108,864"),
    ):
        with pytest.raises(
            UserError,
            match=rf"^it needs [\d,]+ bytes {limit}; use smaller images or fewer filters$",
        ):
            target.write(tmp_path / "folder", model)


def test_the_list_of_targets_may_be_empty(finished: Project, tmp_path: Path) -> None:
    copy = changed(finished, tmp_path, {"embed.targets": []})
    assert copy.run("python", "-m", "pipeline.embed") == ""
    assert json.loads((copy.folder / "reports/embed.json").read_text())["targets"] == []


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


def test_any_class_name_becomes_a_c_string() -> None:
    assert (
        _codegen.quoted('a "b" \\ ??/ 5é\n') == '"a \\042b\\042 \\134 \\077\\077/ 5\\303\\251\\012"'
    )


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
    assert {operator: microcontroller.method(operator) for operator in spelled} == spelled
