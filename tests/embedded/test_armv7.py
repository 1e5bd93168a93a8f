"""The bundle on armv7, emulated with QEMU.

CPython 3.11, numpy and Pillow come from Debian 12 for armhf, the rest from the bundle through pip.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.files import artifacts, atomic, debian
from pipeline.files.artifacts import Array
from pipeline.runtimes import environments
from tests.conftest import ROOT
from tests.embedded.conftest import run
from tests.server import Server, png

PACKAGES = ("python3-numpy", "python3-pil", "python3-pip")
# The processor of a Raspberry Pi 2. Debian's packages come without byte code; most commands would
# take twice as long if Python were not allowed to write it.
EMULATOR = ("qemu-arm-static", "-cpu", "cortex-a7", "-U", "PYTHONDONTWRITEBYTECODE", "-L")
LIBRARIES = "usr/lib/arm-linux-gnueabihf"
ON_ARMV7 = 40  # test images
# Largest difference in a probability from x86-64. On 500 test images it was 7e-7 with float weights
# and 1.5e-5 with integer weights and float sums, which are summed in another order. It was 0 with
# integers throughout.
TOLERANCES = {
    "tflite_float32": 5e-6,
    "tflite_float16": 5e-6,
    "tflite_dynamic": 1e-4,
    "tflite_int8": 0.0,
}


@pytest.fixture(scope="session")
def root() -> Path:
    """The root folder of Debian 12 for armhf, with the packages that a device installs from it."""
    folder = Path(sys.prefix) / "debian_armhf"
    with atomic.alone(folder.with_suffix(".lock")):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=sys.prefix) as temporary:
                unpacked = Path(temporary) / "root"
                debian.unpack(PACKAGES, unpacked, architecture="armhf", dependencies=True)
                for name in ("blas", "lapack"):  # as update-alternatives would
                    (unpacked / LIBRARIES / f"lib{name}.so.3").symlink_to(f"{name}/lib{name}.so.3")
                assert (unpacked / "usr/bin/python3.11").exists(), (
                    "the sources of apt are not Debian 12"
                )
                unpacked.rename(folder)
    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of this working tree, unpacked."""
    archive = next((ROOT / artifacts.DIST).glob("*.tar.gz"))
    folder = tmp_path_factory.mktemp("bundle")
    shutil.unpack_archive(archive, folder)
    return next(folder.iterdir())


@pytest.fixture(scope="session")
def device(root: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment installed by an emulated pip as MODEL_CARD.md describes.

    An emulated program cannot start a program for armv7, so afterwards a script replaces Python and
    starts it in the emulator. Not before pip is done: it detects the processor from Python's file.
    """
    folder = tmp_path_factory.mktemp("device")
    python = folder / "bin/python3"
    run(
        *EMULATOR,
        root,
        root / "usr/bin/python3",
        "-m",
        "venv",
        "--system-site-packages",
        "--without-pip",
        folder,
    )
    requirements = ("--requirement", "requirements/tflite_runtime_armv7.txt")
    run(
        *EMULATOR,
        root,
        python,
        "-m",
        "pip",
        "install",
        "--require-hashes",
        *requirements,
        cwd=bundle,
    )
    python.unlink()
    python.write_text(
        f'#!/bin/sh\nexec {" ".join(EMULATOR)} "{root}" -0 "$0" "{root}/usr/bin/python3" "$@"\n'
    )
    python.chmod(0o755)
    return folder / "bin"


def probabilities(output: bytes) -> Array:
    """(N, K), classes sorted by name, from `serving predict --output json` with all classes."""
    rows = []
    for line in output.splitlines():
        classes: list[dict[str, Any]] = json.loads(line)["classes"]
        by_name = sorted(classes, key=lambda entry: entry["class"])
        rows.append([entry["probability"] for entry in by_name])
    return np.array(rows)


def test_a_device_with_armv7_may_run_the_bundle(device: Path, bundle: Path) -> None:
    code = (
        "import platform, numpy; "
        "print(platform.machine(), platform.python_version(), numpy.__version__)"
    )
    process = run(device / "python3", "-c", code)
    processor, *versions = process.stdout.decode().split()
    assert (processor, [version[:4] for version in versions]) == ("armv7l", ["3.11", "1.24"])
    lines = run(device / "serving", "check", bundle).stdout.decode().splitlines()
    assert lines[-1].startswith("This device may run mnist-digits 1.0.0: ")
    assert {line.split(" on ")[0] for line in lines if "golden vectors within" in line} == set(
        TOLERANCES
    )


@pytest.mark.parametrize("name", TOLERANCES)
def test_armv7_gives_the_probabilities_of_x86_64(
    device: Path, bundle: Path, images: Array, tmp_path: Path, name: str
) -> None:
    """For test images, and for photos of every kind, which an older Pillow decodes there."""
    for index, image in enumerate(images[:ON_ARMV7].squeeze(-1)):
        Image.fromarray(image).save(tmp_path / f"{index:03}.png")
    command = (
        "-m",
        "serving",
        "predict",
        bundle,
        tmp_path,
        bundle / "photos",
        "--format",
        name,
        "--runtime",
        "tflite_runtime",
    )
    options = ("--output", "json", "--top", "10")
    here = probabilities(
        run(environments.python("tflite_runtime"), *command, *options, cwd=ROOT).stdout
    )
    there = probabilities(run(device / "python3", *command, *options, cwd=tmp_path).stdout)
    assert len(here) > ON_ARMV7
    np.testing.assert_array_equal(there.argmax(1), here.argmax(1))
    np.testing.assert_allclose(there, here, rtol=0, atol=TOLERANCES[name])


def test_a_server_there_gives_the_answer_of_one_on_x86_64(
    device: Path, bundle: Path, images: Array
) -> None:
    """Both use the standard library: PyPI has no armv7 wheels for requirements/http.txt."""
    answers = []
    for python in (environments.python("tflite_runtime"), device / "python3"):
        with Server(bundle, "--format", "tflite_int8", python=python) as server:
            answers.append(server.ask("POST", "/predict", png(images[0].squeeze(-1))).json)
    assert answers[0]["model"] == "mnist-digits"
    assert answers[0] == answers[1]


def test_tflite_runtime_may_die_there_too_and_the_program_goes_on(
    device: Path, bundle: Path, tmp_path: Path
) -> None:
    code = """
import sys
import numpy as np
from serving import Bundle, Classifier, RuntimeRefusalError
from serving.subprocess_runtime import SubprocessModel
bundle = Bundle(sys.argv[1])
image = np.zeros((1, *bundle.card.input_shape), np.uint8)
classifier = Classifier.load(bundle)
before = classifier.predict(image)
data, dice = bytearray(bundle.read("tflite_float32.tflite")), np.random.default_rng(1)
for place in dice.integers(0, 4000, 20):
    data[-place - 1] ^= int(dice.integers(1, 256))
try:
    SubprocessModel("tflite_runtime", bytes(data), bundle.card).probabilities(image)
except RuntimeRefusalError as error:
    print(error)
assert (classifier.predict(image) == before).all()
"""
    done = run(device / "python3", "-c", code, bundle, cwd=tmp_path)
    assert (
        done.stdout.decode().strip()
        == "tflite_runtime died with signal 11 (SIGSEGV); the program goes on"
    )
