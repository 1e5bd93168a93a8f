"""The library of the integer C, built by Arduino's own builder for a Cortex-M and run in QEMU."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import cortex_m
from pipeline.embedded import c
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.artifacts import Array, Description
from pipeline.files.pictures.picture_file import Framing
from serving.framing import frame
from tests.conftest import ROOT
from tests.embedded.conftest import run
from tests.embedded.linear_bundle import Linear

HERE = Path(__file__).parent
LAYERS = ROOT / "pipeline/embedded/_integer_c/layers"
PROCESSORS = ("cortex-m0", "cortex-m3")
NAMES = ["upper left", "upper right", "below"]
SIZE = (320, 240)  # of a frame
FRAMES, CLEAR = 20, 0.7  # those of a larger probability are shown, so that no rounding counts
# Letterboxed, cut, stretched, and a region, with and without colour
CASES: list[tuple[Framing, int]] = [
    ("letterbox", 3),
    ("centre_crop", 3),
    ("resize", 1),
    ([0.1, 0.25, 0.85, 1.0], 1),
]


def output(library: Path, sketch: str, processor: str, folder: Path) -> list[str]:
    """What an example of the library prints; the files that it reads are in the folder."""
    libraries = folder / "libraries"
    shutil.copytree(library, libraries / "a_model")
    (folder / "hardware").mkdir()
    (folder / "hardware/boards").symlink_to(HERE / "arduino_board")
    (folder / "build").mkdir()
    command: list[str | Path] = ["arduino-builder", "-compile", "-fqbn", "boards:cortex:an385"]
    for hardware in ("/usr/share/arduino-builder", folder / "hardware"):
        command += ["-hardware", hardware]
    command += ["-tools", "/usr/bin", "-libraries", libraries, "-build-path", folder / "build"]
    for preference in (f"build.mcu={processor}", f"cortex_m={cortex_m.HERE}"):
        command += ["-prefs", preference]
    run(*command, libraries / "a_model/examples" / sketch / f"{sketch}.ino")
    shutil.copy(folder / "build" / f"{sketch}.ino.elf", folder / "firmware.elf")
    return cortex_m.run(folder / "firmware.elf")


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_self_test_passes_as_an_arduino_sketch(
    embedded: Path, tmp_path: Path, processor: str
) -> None:
    printed = output(embedded / "c" / c.LIBRARY, "self_test", processor, tmp_path)
    assert printed[0] == "passed: 0 outputs and classes of the golden vectors differ"
    assert re.fullmatch(r"the first answer is \d", printed[2])


def test_the_self_test_notices_a_changed_weight(embedded: Path, tmp_path: Path) -> None:
    library = shutil.copytree(embedded / "c" / c.LIBRARY, tmp_path / "library")
    weights = library / "src/weights.h"
    text = weights.read_text()
    first = re.search(r"int8_t \w+\[\d+\] = \{\n    (-?\d+)", text)
    assert first
    weights.write_text(text[: first.start(1)] + str(-int(first[1]) - 1) + text[first.end(1) :])
    (printed, *_) = output(library, "self_test", "cortex-m3", tmp_path)
    assert re.fullmatch(r"FAILED: [1-9]\d* outputs and .*", printed)


def test_its_properties_are_those_that_arduino_asks_for(embedded: Path) -> None:
    """As its library specification says."""
    library = embedded / "c" / c.LIBRARY
    lines = (library / "library.properties").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category"}
    assert {*required, "url", "architectures"} <= values.keys()
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", values["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", values["version"])
    assert values["category"] == "Data Processing"
    assert (library / "src" / values["includes"]).is_file()
    assert "$" not in "".join(values.values())
    assert all((path / f"{path.name}.ino").exists() for path in sketches(library))


def test_the_example_for_esp_idf_finds_the_component_and_passes(
    embedded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it uses of ESP-IDF's build system, for this machine."""
    monkeypatch.setenv("IDF_PATH", str(HERE / "esp_idf"))
    run("cmake", "-S", embedded / "c" / c.LIBRARY / "examples/esp_idf", "-B", tmp_path)
    run("cmake", "--build", tmp_path)
    printed = run(tmp_path / "self_test").stdout.decode().splitlines()
    assert printed[0] == "passed: 0 outputs and classes of the golden vectors differ"


def test_the_page_says_what_a_whole_program_takes(embedded: Path, tmp_path: Path) -> None:
    m0, m3 = (cortex_m.memory(embedded / "c", 0, name, tmp_path) for name in PROCESSORS)
    page = (ROOT / "docs/microcontroller.md").read_text("utf-8")
    assert f"| edge | {m0.flash:,} | {m3.flash:,} | {m3.ram:,} |" in page
    assert cortex_m.frame_scratch(embedded / "c", "cortex-m3", tmp_path) == 0


def test_a_whole_program_that_frames_pictures_has_room_for_it(tmp_path: Path) -> None:
    data = Description("own", NAMES, (24, 24, 3), {}, [], framing="letterbox")
    code = write_library(tmp_path / "c", places(data), data).code
    scratch = cortex_m.frame_scratch(tmp_path / "c", "cortex-m3", tmp_path)
    memory = cortex_m.memory(tmp_path / "c", scratch, "cortex-m3", tmp_path)
    needed = scratch + 24 * 24 * 3 + code.arena_bytes
    assert scratch > 24 * 24
    assert needed <= memory.ram < needed + 200
    assert code.constant_bytes < memory.flash < code.constant_bytes + 10_000


def sketches(library: Path) -> list[Path]:
    return [path.parent for path in library.rglob("*.ino")]


@pytest.mark.parametrize(("framing", "channels"), CASES)
def test_the_camera_sketch_says_what_python_says_of_the_same_frames(
    tmp_path: Path, framing: Framing, channels: int
) -> None:
    """The frames are in a file in place of the sensor."""
    data = Description("own", NAMES, (24, 24, channels), {}, [], framing=framing)
    network = places(data)
    write_library(tmp_path / "library", network, data)
    pictures = frames(channels)
    shares = network.probabilities(np.stack([framed(picture, data) for picture in pictures]))
    clear = np.flatnonzero(shares.max(1) > CLEAR)
    expected = [NAMES[number] for number in shares[clear].argmax(1)]
    sensed = [sensor_bytes(pictures[index]) for index in clear]
    (tmp_path / "frames.raw").write_bytes(b"".join(sensed))
    printed = output(tmp_path / "library/model", "camera", "cortex-m3", tmp_path)
    assert printed == [*expected, "the camera gives no frame"]
    assert {*expected} == {*NAMES}


def write_library(folder: Path, network: Linear, data: Description) -> VerifiedFile:
    """Writes the library of a network without golden vectors, as `model` in the folder."""
    folder.mkdir()
    (folder / "model.tflite").write_bytes(network.network())
    nothing = np.zeros((0, *data.input_shape), np.uint8)
    model = VerifiedFile(
        "places",
        "1.0.0",
        "tflite_int8",
        folder / "model.tflite",
        data,
        *(nothing, np.zeros(0), nothing),
        programs=(),
        arena_bytes=0,
        max_loss=0.0,
    )
    c.write_library(folder / c.LIBRARY, model)
    return model


def places(data: Description) -> Linear:
    """Where the light is: an input's part of a class counts for it, the rest against it."""
    weights = np.full((len(NAMES), *data.input_shape), -1.0)
    weights[0, :12, :12] = weights[1, :12, 12:] = 3.0
    weights[2, 12:] = 1.0
    return Linear(weights * 3e-4 / data.input_shape[2], np.zeros(len(NAMES)), zero_point=0)


def frames(channels: int) -> list[Image.Image]:
    """Noise with a bright block somewhere, in colours that RGB565 has."""
    dice = np.random.default_rng(channels)
    pictures = []
    for _ in range(FRAMES):
        pixels = dice.integers(0, 90, (SIZE[1], SIZE[0], 3))
        top, left = dice.integers(20, 140), dice.integers(20, 220)
        pixels[top : top + 80, left : left + 80] = dice.integers(180, 256, 3)
        red, green, blue = (pixels[..., index] >> shift for index, shift in enumerate((3, 2, 3)))
        exact = (red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2)
        picture = Image.fromarray(np.stack(exact, -1).astype(np.uint8))
        pictures.append(picture if channels == 3 else picture.convert("L"))
    return pictures


def sensor_bytes(picture: Image.Image) -> bytes:
    """As the driver gives them: grey, or RGB565 with the high byte first."""
    if picture.mode == "L":
        return picture.tobytes()
    red, green, blue = np.asarray(picture).astype(np.uint16).transpose(2, 0, 1)
    pixels = red >> 3 << 11 | green >> 2 << 5 | blue >> 3
    return bytes(pixels.astype(">u2").tobytes())


def framed(picture: Image.Image, data: Description) -> Array:
    height, width, channels = data.input_shape
    pixels = np.asarray(frame(picture, (width, height), data.framing))
    return pixels.reshape(height, width, channels)


def test_no_multiplication_and_addition_is_fused_on_a_chip_with_floating_point(
    tmp_path: Path,
) -> None:
    """It rounds once instead of twice, and Arduino has no place for an option against it."""
    source = LAYERS / "normalization.c"
    chip = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
    run("arm-none-eabi-gcc", *chip, "-Os", "-std=gnu11", "-S", source, "-o", tmp_path / "layer.s")
    assembly = (tmp_path / "layer.s").read_text()
    assert re.search(r"vm(ul|la)\.f32", assembly)  # both round twice
    assert not re.search(r"vfn?m[as]", assembly)
