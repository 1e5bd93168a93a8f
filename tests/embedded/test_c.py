"""The generated C on its target processors.

gcc and CMake here, Linux on Arm in QEMU, and a Cortex-M3 without an operating system.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import cortex_m
from pipeline.bundle import acceptance
from pipeline.embedded import c
from pipeline.embedded._proof import on_all_cores
from pipeline.files.artifacts import Array
from pipeline.files.pictures.picture_file import Framing
from serving import Bundle, photo
from serving.acceptance import Acceptance
from serving.classifier import GOLDEN
from tests.conftest import ROOT
from tests.embedded.conftest import predict, run
from tests.framing.conftest import FRAMINGS, build, framed_in_c
from tests.test_browser import sheets
from tests.test_photo import card

HERE = Path(__file__).parent
EMULATORS = {
    "aarch64": "qemu-aarch64-static",
    "armv7": "qemu-arm-static",
    "x86_64": "qemu-x86_64-static",
}
ON_LINUX, ON_CORTEX_M = 200, 100
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O2")


def test_gcc_compiles_it_without_a_warning_and_cmake_reproduces_the_golden_vectors(
    embedded: Path, tmp_path: Path
) -> None:
    model = embedded / "c" / c.SOURCES
    for source in (embedded / "c/self_test.c", *sorted(model.rglob("*.c"))):
        run("gcc", *STRICT, "-I", model, "-c", source, "-o", tmp_path / "object.o")
    without_conversion = [option for option in STRICT if option != "-Wconversion"]
    for name in ("prove.c", "gate.c"):
        source = embedded / "c" / name
        run("gcc", *without_conversion, "-I", model, "-c", source, "-o", tmp_path / "object.o")
    run("cmake", "-S", embedded / "c", "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    run("ctest", "--test-dir", tmp_path / "build", "--no-tests=error")


@pytest.mark.parametrize("processor", EMULATORS)
def test_every_processor_gives_the_probabilities_of_micro_to_the_last_bit(
    embedded: Path, images: Array, tmp_path: Path, processor: str
) -> None:
    sample = images[:ON_LINUX]
    program = embedded / "c/programs" / f"classify-{processor}"
    (tmp_path / "images.raw").write_bytes(sample.tobytes())
    emulated = run(EMULATORS[processor], program, tmp_path / "images.raw").stdout
    probabilities = np.array(
        [line.split("\t")[2:] for line in emulated.decode().splitlines()], np.float32
    )
    expected, _ = predict("tflite_int8", "tflite_micro", sample, tmp_path)
    np.testing.assert_array_equal(probabilities, expected)


def test_all_test_images_give_the_probabilities_of_micro_to_the_last_bit(
    embedded: Path, images: Array, tmp_path: Path
) -> None:
    program = embedded / "c/programs" / f"classify-{c.HERE}"
    probabilities = on_all_cores(partial(c.classify, program), images)
    expected, _ = predict("tflite_int8", "tflite_micro", images, tmp_path)
    np.testing.assert_array_equal(probabilities, expected)


@pytest.mark.parametrize("processor", EMULATORS)
def test_every_processor_reads_pictures(
    embedded: Path, images: Array, tmp_path: Path, processor: str
) -> None:
    pixels = images[0].squeeze()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "a.ppm")
    (tmp_path / "a.raw").write_bytes(pixels.tobytes())
    program = embedded / "c/programs" / f"classify-{processor}"
    done = run(
        EMULATORS[processor], program, *(tmp_path / f"a.{kind}" for kind in ("png", "ppm", "raw"))
    )
    assert len({line.split("\t", 1)[1] for line in done.stdout.decode().splitlines()}) == 1


@pytest.mark.parametrize("processor", EMULATORS)
def test_every_processor_frames_photos_to_the_pixels_of_python(
    tmp_path: Path, processor: str
) -> None:
    cases: list[tuple[Path, Framing, tuple[int, int, int]]] = []
    for number, pixels in enumerate(sheets(16, 3)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        cases.append((tmp_path / f"{number}.png", FRAMINGS[number % 4], (40, 32, 3)))
    expected = [photo.read(path, card("npz", shape, framing)) for path, framing, shape in cases]
    program = build(tmp_path, processor)
    framed = framed_in_c(program, cases, [EMULATORS[processor]])
    np.testing.assert_array_equal(framed, np.concatenate([image.ravel() for image in expected]))


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """acceptance.bin with 100 images, from the bundle of this working tree."""
    (archive,) = (ROOT / "dist").glob("*.tar.gz")
    opened, folder = Bundle(archive), tmp_path_factory.mktemp("acceptance")
    (folder / GOLDEN).write_bytes(opened.read(GOLDEN))
    first = Acceptance.load(opened).first(100)
    accepted = acceptance.AcceptanceSet(first.images, first.labels, first.probabilities)
    (entry,) = (entry for entry in opened.card.embedded if entry.target == "c")
    acceptance.write_binary(folder / "few.bin", folder / GOLDEN, accepted, opened.card, entry)
    return folder / "few.bin"


@pytest.mark.parametrize("processor", EMULATORS)
def test_every_processor_proves_the_program_with_the_same_numbers(
    embedded: Path, few: Path, processor: str
) -> None:
    program = embedded / "c/programs" / f"classify-{processor}"
    emulated = run(EMULATORS[processor], program, "--prove", few).stdout.decode().splitlines()
    native = (
        run(embedded / "c/programs" / f"classify-{c.HERE}", "--prove", few)
        .stdout.decode()
        .splitlines()
    )
    assert [line for line in emulated if "milliseconds" not in line] == [
        line for line in native if "milliseconds" not in line
    ]
    assert emulated[-1].startswith("proven: its maker showed on ")


@pytest.mark.parametrize("processor", ["cortex-m0", "cortex-m3"])
def test_a_cortex_m_without_an_operating_system_gives_the_probabilities_of_micro(
    embedded: Path, images: Array, tmp_path: Path, processor: str
) -> None:
    """The M0 code runs on an emulated M3."""
    sample = images[:ON_CORTEX_M]
    (tmp_path / "images.raw").write_bytes(sample.tobytes())
    cortex_m.build(embedded / "c", "classify.c", processor, tmp_path / "firmware.elf")
    (instructions,) = cortex_m.run(tmp_path / "firmware.elf")
    assert int(instructions) > 0
    probabilities = np.fromfile(tmp_path / "probabilities.raw", np.float32).reshape(len(sample), -1)
    expected, _ = predict("tflite_int8", "tflite_micro", sample, tmp_path)
    np.testing.assert_array_equal(probabilities, expected)
