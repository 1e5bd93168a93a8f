"""The bundle on armv7, under QEMU: CPython 3.11, numpy and Pillow of Debian 12 for armhf, and what pip installs from the bundle."""

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
from tests.embedded.conftest import png, run
from tests.server import Server

PACKAGES = ("python3-numpy", "python3-pil", "python3-pip")
# the processor of a Raspberry Pi 2; Debian's packages come without byte code, and not to keep it doubles the time of most commands
EMULATOR = ("qemu-arm-static", "-cpu", "cortex-a7", "-U", "PYTHONDONTWRITEBYTECODE", "-L")
LIBRARIES = "usr/lib/arm-linux-gnueabihf"
ON_ARMV7 = 40  # test images
# Largest difference of a probability from x86-64. Of 500 test images it was 7e-7 where weights are floats and 1.5e-5 where they alone are
# integers, as sums are added up in another order; where all is integers there was none.
TOLERANCES = {
    "tflite_float32": 5e-6,
    "tflite_float16": 5e-6,
    "tflite_dynamic": 1e-4,
    "tflite_int8": 0.0,
}


@pytest.fixture(scope="session")
def root() -> Path:
    """The root folder of a Debian 12 for armhf, with what a device installs from there."""
    folder = Path(sys.prefix) / "debian_armhf"
    with atomic.alone(folder.with_suffix(".lock")):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=sys.prefix) as making:
                made = Path(making) / "root"
                debian.unpack(PACKAGES, made, architecture="armhf", dependencies=True)
                for name in ("blas", "lapack"):  # as update-alternatives would
                    (made / LIBRARIES / f"lib{name}.so.3").symlink_to(f"{name}/lib{name}.so.3")
                assert (made / "usr/bin/python3.11").exists(), (
                    "the sources of apt are not those of Debian 12"
                )
                made.rename(folder)
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
    """The folder of the programs of an environment that was installed as MODEL_CARD.md says, by an emulated pip.

    An emulated program can start no program for armv7, so a script in the place of Python has it emulated too; not before pip is
    done, which tells the processor from the file that Python is.
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
    """(N, K) in the order of classes, of `serving predict --output json` with all classes."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    return np.array(
        [
            [
                entry["probability"]
                for entry in sorted(line["classes"], key=lambda entry: entry["class"])
            ]
            for line in lines
        ]
    )


def test_a_device_with_armv7_may_run_the_bundle(device: Path, bundle: Path) -> None:
    told = run(
        device / "python3",
        "-c",
        "import platform, numpy; print(platform.machine(), platform.python_version(), numpy.__version__)",
    )
    processor, *versions = told.stdout.decode().split()
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
    """Of test images, and of photos of every kind, which an older Pillow decodes there."""
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
    """Both by the standard library: for armv7 the package index has nothing of requirements/http.txt that is compiled."""
    told = []
    for python in (environments.python("tflite_runtime"), device / "python3"):
        with Server(bundle, "--format", "tflite_int8", python=python) as server:
            told.append(server.ask("POST", "/predict", png(images[0].squeeze(-1))).json)
    assert told[0]["model"] == "mnist-digits"
    assert told[0] == told[1]


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
