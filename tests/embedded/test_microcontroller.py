"""The C++ folder for microcontrollers: array, interpreter on all test images, boards.

Also the architecture `tiny`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.metadata import files
from pathlib import Path

import numpy as np
import pytest
from uv import find_uv_bin

from pipeline.embedded._kernel_memory import Convolution, esp_nn
from pipeline.files.artifacts import Array
from pipeline.runtimes import environments
from tests.conftest import ROOT, Project
from tests.embedded.conftest import predict, run

TINY = {
    "train.architecture": "tiny",
    "embed.targets": ["microcontroller"],
    "embed.arena_bytes": 16384,
    "problem.target": 0.985,
    "preprocess.subset": None,
    "train.epochs": 4,
    "export.formats": ["tflite_float32", "tflite_int8"],
    "export.calibration_images": 500,
    "export.max_accuracy_drop": 0.002,
    "verify.micro_images": 1000,
    "verify.micro_max_accuracy_drop": 0.01,
}


def test_the_array_is_compiled_and_read_back_equal(embedded: Path, tmp_path: Path) -> None:
    run("cmake", "-S", embedded / "microcontroller", "-B", tmp_path)
    run("cmake", "--build", tmp_path)
    run("ctest", "--test-dir", tmp_path, "--no-tests=error")
    assert (
        run(tmp_path / "array_test").stdout == (ROOT / "exported/tflite_int8.tflite").read_bytes()
    )


@pytest.fixture(scope="module")
def tflite_micro() -> list[str]:
    """CMake options for TensorFlow Lite Micro: XMOS's build, which renames the namespace."""
    process = run(
        find_uv_bin(), "run", "--quiet", "--script", ROOT / "tests/embedded/tflite_micro_build.py"
    )
    xmos = Path(process.stdout.decode().strip())
    gemmlowp = next(
        str(path.locate())
        for path in files("tensorflow") or ()
        if path.match("gemmlowp/fixedpoint/fixedpoint.h")
    )
    return [
        f"-DTFLITE_MICRO_LIBRARY={xmos}/xinterpreters/libs/linux/xtflm_python.so.1.0.1",
        f"-DTFLITE_MICRO_INCLUDES={xmos}/runtime/include;{Path(gemmlowp).parent.parent}",
        "-DCMAKE_CXX_FLAGS=-Dtflite=tflite_micro",
    ]


def test_the_interpreter_in_cpp_reproduces_the_golden_vectors(
    embedded: Path, tflite_micro: list[str], tmp_path: Path
) -> None:
    run("cmake", "-S", embedded / "microcontroller", "-B", tmp_path, *tflite_micro)
    run("cmake", "--build", tmp_path)
    run("ctest", "--test-dir", tmp_path, "--no-tests=error")
    output = run(tmp_path / "self_test").stdout.decode()
    assert " golden vectors, largest difference 0, " in output, output
    used, allowed = map(int, re.findall(r"arena: (\d+) of (\d+) bytes", output)[0])
    assert 0 < used <= allowed


@pytest.mark.parametrize(
    "damage",
    [
        ("golden.h", "[MODEL_CLASSES] = {\n    {", "[MODEL_CLASSES] = {\n    {1.0f - "),
        ("model_data.cpp", "model_data[] = {\n    ", "model_data[] = {\n    1 ^ "),
    ],
)
def test_the_self_test_in_cpp_detects_damage(
    embedded: Path, tflite_micro: list[str], tmp_path: Path, damage: tuple[str, str, str]
) -> None:
    """A model with different probabilities, and one in damaged flash."""
    file, right, wrong = damage
    folder = shutil.copytree(embedded / "microcontroller", tmp_path / "folder")
    source = folder / "src" / file
    text = source.read_text()
    assert right in text
    source.write_text(text.replace(right, wrong, 1))
    run("cmake", "-S", folder, "-B", tmp_path / "build", *tflite_micro)
    run("cmake", "--build", tmp_path / "build")
    done = subprocess.run(
        [tmp_path / "build/self_test"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done


SCRATCH = """
#include <stdio.h>
#include "esp_nn_esp32s3.h"
int main(void)
{
    int depthwise, ih, iw, ic, fh, fw, oh, ow, oc, sh, sw, ph, pw;
    while (scanf("%d %d %d %d %d %d %d %d %d %d %d %d %d", &depthwise, &ih, &iw, &ic, &fh, &fw, &oh,
                 &ow, &oc, &sh, &sw, &ph, &pw) == 13) {
        const data_dims_t input = {iw, ih, ic, 1}, output = {ow, oh, oc, 1};
        const data_dims_t filter = {fw, fh, depthwise ? oc : ic, 1};
        const conv_params_t conv = {
            .stride = {sw, sh}, .padding = {pw, ph}, .dilation = {1, 1}};
        const dw_conv_params_t dw = {
            .ch_mult = oc / ic, .stride = {sw, sh}, .padding = {pw, ph}, .dilation = {1, 1}};
        printf("%d\\n", depthwise
            ? esp_nn_get_depthwise_conv_scratch_size_esp32s3(&input, &filter, &output, &dw)
            : esp_nn_get_conv_scratch_size_esp32s3(&input, &filter, &output, &conv));
    }
    return 0;
}
"""


def test_the_arena_of_an_esp32_has_room_for_the_scratch_memory_of_esp_nn(tmp_path: Path) -> None:
    """Compared with Espressif's own functions, from BakeNN's wheel, for 3,000 convolutions."""
    (header,) = {
        str(path.locate()) for path in files("bakenn") or () if path.name == "esp_nn_esp32s3.h"
    }
    vendor = Path(header).parent.parent
    (tmp_path / "scratch.c").write_text(SCRATCH)
    sources = [
        vendor / f"src/convolution/esp_nn_{name}_esp32s3.c"
        for name in ("conv", "depthwise_conv_s8")
    ]
    options = [
        "-w",
        "-ffunction-sections",
        "-fdata-sections",
        "-Wl,--gc-sections",
        f"-I{vendor}/include",
        f"-I{vendor}/src/common",
    ]
    run("gcc", *options, tmp_path / "scratch.c", *sources, "-o", tmp_path / "scratch")
    rng, cases, lines = np.random.default_rng(0), [], []
    for number in range(3000):
        depthwise, same = bool(number % 2), bool(rng.integers(2))
        size = rng.integers(5, 40, 2)
        channels = int(rng.choice([1, 3, 4, 8, 12, 16, 24, 48, 64, 100]))
        filters, stride = rng.choice([1, 2, 3, 5], 2), rng.integers(1, 3, 2)
        if depthwise:
            output_channels = channels * int(rng.integers(1, 5))
        else:
            output_channels = int(rng.choice([1, 8, 10, 16, 64, 100]))
        out = -(-size // stride) if same else -(-(size - filters + 1) // stride)
        padding = (
            np.maximum((out - 1) * stride + filters - size, 0) // 2 if same else np.zeros(2, int)
        )
        input_shape = (*size.tolist(), channels)
        output_shape = (*out.tolist(), output_channels)
        filter_shape = tuple(filters.tolist())
        cases.append(Convolution(depthwise, input_shape, filter_shape, output_shape))
        numbers = [int(depthwise), *input_shape, *filters, *output_shape, *stride, *padding]
        lines.append(" ".join(map(str, numbers)))
    process = subprocess.run(
        [tmp_path / "scratch"], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    needed = [int(line) for line in process.stdout.split()]
    assert len(needed) == len(cases)
    too_small = [
        (case, theirs, esp_nn(case))
        for case, theirs in zip(cases, needed, strict=True)
        if esp_nn(case) < theirs
    ]
    assert not too_small, too_small[:3]
    assert max(needed) > 100_000


def test_a_microcontrollers_compiler_places_the_array_in_flash(
    embedded: Path, tmp_path: Path
) -> None:
    """Read-only, aligned, and without a byte of RAM."""
    source = embedded / "microcontroller/src"
    output = tmp_path / "model_data.o"
    run(
        "arm-none-eabi-g++",
        "-mcpu=cortex-m3",
        "-mthumb",
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-c",
        source / "model_data.cpp",
        "-o",
        output,
    )
    _, flash, data, bss, *_ = [0, *map(int, run("arm-none-eabi-size", output).stdout.split()[6:10])]
    assert (data, bss) == (0, 0)
    assert flash >= (ROOT / "exported/tflite_int8.tflite").stat().st_size


def test_micro_agrees_with_litert_on_every_test_image(images: Array, tmp_path: Path) -> None:
    micro, _ = predict("tflite_int8", "tflite_micro", images, tmp_path)
    litert, _ = predict("tflite_int8", "litert", images, tmp_path)
    assert len(micro) == 10_000
    np.testing.assert_array_equal(micro.argmax(1), litert.argmax(1))


REFERENCE_KERNELS = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
interpreter = Interpreter(sys.argv[1], experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
interpreter.allocate_tensors()
source = interpreter.get_input_details()[0]["index"]
target = interpreter.get_output_details()[0]["index"]
probabilities = []
for image in np.load(sys.argv[2]):
    interpreter.set_tensor(source, image[None])
    interpreter.invoke()
    probabilities.append(interpreter.get_tensor(target)[0])
np.save(sys.argv[3], probabilities)
"""


def test_the_reference_kernels_agree_up_to_single_steps_of_the_output(
    images: Array, tmp_path: Path
) -> None:
    """TensorFlow Lite Micro computes int8 like LiteRT's reference kernels.

    XNNPACK's kernels round some steps differently. Depending on the weights, none or a few of
    10,000 probabilities differ, by one step of 1/256.
    """
    micro, _ = predict("tflite_int8", "tflite_micro", images[:1000], tmp_path)
    file, output = ROOT / "exported/tflite_int8.tflite", tmp_path / "reference.npy"
    python, images_file = environments.python("litert"), tmp_path / "images.npy"
    run(python, "-c", REFERENCE_KERNELS, file, images_file, output)
    differences = np.abs(micro - np.load(output))
    assert differences.max() <= 1 / 256
    assert np.count_nonzero(differences) <= differences.size / 1000


def test_common_boards_fit_it(embedded: Path) -> None:
    rows = json.loads((ROOT / "reports/embed.json").read_text())["targets"]
    boards = {
        row["board"]: row["fits"]
        for target in rows
        if target["target"] == "microcontroller"
        for row in target["measured"]["boards"]
    }
    for name in (
        "ESP32-S3 DevKit",
        "Raspberry Pi Pico",
        "Arduino Nano 33 BLE Sense",
        "Seeed XIAO nRF52840 Sense",
    ):
        assert boards[name], name
    assert not boards["Arduino Uno R3"]


def test_tiny_is_good_enough_and_small_enough(project: Project) -> None:
    """Four epochs instead of the ten in params.yaml."""
    project.change(TINY)
    project.run("dvc", "repro", "embed")
    measured = json.loads((project.folder / "reports/embed.json").read_text())["targets"][0][
        "measured"
    ]
    pairs = json.loads((project.folder / "reports/verify.json").read_text())["pairs"]
    whole = [
        pair["accuracy"]
        for pair in pairs
        if pair["format"] == "tflite_int8" and pair.get("test_images") == 10_000
    ]
    assert min(whole) >= 0.985
    assert measured["model_bytes"] <= 20_000
    assert measured["arena_bytes"] <= 16_384
