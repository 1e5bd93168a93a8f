"""The C++ folder for microcontrollers: its array, its interpreter on all test images, its boards; and the preset `tiny`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.artifacts import Array
from tests.conftest import ROOT, Project
from tests.embedded.conftest import answers, run

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
    assert run(tmp_path / "array_test").stdout == (ROOT / "exported/tflite_int8.tflite").read_bytes()


def test_a_microcontrollers_compiler_takes_the_array_into_flash(embedded: Path, tmp_path: Path) -> None:
    """Read-only, aligned, and not a byte of RAM."""
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
    micro, _ = answers("tflite_int8", "tflite_micro", images, tmp_path)
    litert, _ = answers("tflite_int8", "litert", images, tmp_path)
    assert len(micro) == 10_000
    np.testing.assert_array_equal(micro.argmax(1), litert.argmax(1))


def test_the_reference_kernels_agree_to_the_last_bit(images: Array, tmp_path: Path) -> None:
    """tflite-runtime and TensorFlow Lite Micro compute int8 alike; LiteRT's own kernels round some steps in another way."""
    micro, _ = answers("tflite_int8", "tflite_micro", images[:1000], tmp_path)
    reference, _ = answers("tflite_int8", "tflite_runtime", images[:1000], tmp_path)
    np.testing.assert_array_equal(micro, reference)


def test_the_boards_that_people_have_take_it(embedded: Path) -> None:
    rows = json.loads((ROOT / "reports/embed.json").read_text())["targets"]
    boards = {row["board"]: row["fits"] for target in rows if target["target"] == "microcontroller" for row in target["measured"]["boards"]}
    for name in ("ESP32-S3 DevKit", "Raspberry Pi Pico", "Arduino Nano 33 BLE Sense", "Seeed XIAO nRF52840 Sense"):
        assert boards[name], name
    assert not boards["Arduino Uno R3"]


@pytest.mark.timeout(900)
def test_tiny_is_good_enough_and_small_enough(project: Project) -> None:
    """Four epochs of the ten that params.yaml has."""
    project.change(TINY)
    project.run("dvc", "repro", "embed")
    measured = json.loads((project.folder / "reports/embed.json").read_text())["targets"][0]["measured"]
    pairs = json.loads((project.folder / "reports/verify.json").read_text())["pairs"]
    whole = [pair["accuracy"] for pair in pairs if pair["format"] == "tflite_int8" and pair["images"] == 10_000]
    assert min(whole) >= 0.985
    assert measured["model_bytes"] <= 20_000
    assert measured["arena_bytes"] <= 16_384
