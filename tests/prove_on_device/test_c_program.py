"""The C program proves its model as `serving prove` does."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tests.acceptance_sets import program, sealed
from tests.conftest import Project
from tests.device import serving
from tests.prove_on_device.conftest import here

pytestmark = pytest.mark.slow


def test_the_c_program_agrees_with_micro_in_every_figure(finished: Project, bundle: Path) -> None:
    done = program(finished, "--prove", bundle / "embedded/c/acceptance.bin")
    options = ["--format", "tflite_int8", "--json"]
    report = json.loads(serving(here("tflite_micro"), "prove", bundle, *options).stdout)
    proved = report["pairs"][0]
    *lines, sentence = done.stdout.splitlines()
    facts = {name: float(value) for name, value in (line.split("\t") for line in lines)}
    low, high = proved["accuracy_interval"]
    compared = {**proved, "accuracy_low": low, "accuracy_high": high}
    del compared["max_accuracy_drop"]  # larger for TensorFlow Lite Micro
    for name, value in compared.items():
        if name in facts:
            assert facts[name] == pytest.approx(value, rel=1e-8), name
    assert {"lost", "agreement", "largest_difference", "golden_difference"} <= facts.keys()
    assert sentence.startswith("proven: ")
    assert done.returncode == 0


def test_the_c_program_has_three_verdicts(finished: Project, bundle: Path, tmp_path: Path) -> None:
    data = (bundle / "embedded/c/acceptance.bin").read_bytes()
    maker_unsure, little_allowed = struct.pack("<I", 1), struct.pack("<d", 0.002)
    (tmp_path / "unsure.bin").write_bytes(
        sealed(data[:24] + maker_unsure + data[28:40] + little_allowed + data[48:-4])
    )
    unsure = program(finished, "--prove", tmp_path / "unsure.bin")
    golden_images = struct.unpack_from("<I", data, 8)[0]
    first = 56 + golden_images * (784 + 40)
    inverted = bytes(255 - byte for byte in data[first : first + 784 * 1000])
    (tmp_path / "worse.bin").write_bytes(
        sealed(data[:first] + inverted + data[first + len(inverted) : -4])
    )
    worse = program(finished, "--prove", tmp_path / "worse.bin")
    assert unsure.stdout.splitlines()[-1].startswith("not shown: ")
    assert unsure.returncode == 3
    assert worse.stdout.splitlines()[-1].startswith("worse: ")
    assert worse.returncode == 1
