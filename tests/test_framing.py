"""The same photo gives the same pixels in training, Python, the browser and C."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.bundle import golden_photos
from pipeline.embedded import _zig, c
from pipeline.embedded._kinds import pixels as images
from pipeline.files import artifacts, picture_file
from pipeline.files.artifacts import Array, Description
from pipeline.files.picture_file import Framing
from serving import BundleError, InputError, photo
from serving.model_card import ModelCard, Preprocessing
from serving.typed_json import Text
from tests.conftest import ROOT
from tests.test_browser import PICTURES, in_node, sheets
from tests.test_photo import card

REGION = [0.1, 0.25, 0.85, 1.0]
FRAMINGS: list[Framing] = ["resize", "letterbox", "centre_crop", REGION]
SHAPES = [(20, 36, 3), (33, 24, 1)]

FRAME = """
import { readFileSync } from "node:fs";
const { frame } = await import(process.argv[1] + "/framing.js");
const { plane } = await import(process.argv[1] + "/ink.js");
const framed = JSON.parse(readFileSync(0)).map(({ height, width, data, size, framing }) => {
  const picture = plane(height, width, Uint8Array.from(data));
  return [...frame(picture, ...size, framing).data];
});
console.log(JSON.stringify(framed));
"""
# Frames the files that it is given; before each file, the values of `c_arguments` and the width,
# height and format of a file of raw pixels, or zeros. On standard error: the scratch memory.
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include "picture.h"
static uint8_t bytes[1 << 24];
int main(int count, char **arguments)
{
    for (int at = 1; at + 11 < count; at += 12) {
        int values[11];
        FILE *file = fopen(arguments[at + 11], "rb");
        size_t length = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        for (int index = 0; index < 11; index++)
            values[index] = atoi(arguments[at + index]);
        struct framing framing = {(enum framing_method)values[0],
                                  {values[1], values[2], values[3], values[4]}};
        struct framing_size size = {values[5], values[6], values[7]};
        struct picture picture = {bytes, values[8], values[9], (enum picture_format)values[10]};
        const char *fault = values[10] ? NULL : picture_read(bytes, length, &picture);
        if (fault) {
            fprintf(stderr, "%s: %s\n", arguments[at + 11], fault);
            return 1;
        }
        size_t pixels = (size_t)(values[5] * values[6] * values[7]);
        size_t needed = framing_scratch(&picture, &framing, &size);
        uint8_t *image = malloc(pixels), *scratch = malloc(needed);
        framing_run(&picture, &framing, &size, image, scratch);
        fwrite(image, 1, pixels, stdout);
        fprintf(stderr, "%lu\n", (unsigned long)needed);
        fclose(file);
        free(image);
        free(scratch);
        if (!values[10])
            picture_free(&picture);
    }
    return 0;
}
"""


def build(folder: Path, processor: str) -> Path:
    """A program of the C sources that a bundle holds, which frames pictures."""
    pictures = [c.TEMPLATES / "pixels" / name for name in ("picture.c", "picture.h")]
    framing = [images.FRAMING / name for name in images.SOURCES]
    for path in (*pictures, *framing, c.TEMPLATES / "files.c", c.TEMPLATES / "program.h"):
        shutil.copy(path, folder)
    (folder / "stb_image.h").write_bytes(c.image_reader().read_bytes())
    (folder / "model.h").write_text("#define MODEL_VALUE uint8_t\n")  # all that they need of it
    (folder / "frames.c").write_text(PROGRAM)
    sources = ["frames.c", "files.c", "picture.c", "framing.c"]
    _zig.build(folder, sources, folder / "frames", "-target", _zig.PROGRAMS[processor], *_zig.C99)
    return folder / "frames"


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("c"), c.HERE)


def c_arguments(framing: Framing, shape: tuple[int, int, int]) -> list[str]:
    """The initializer of MODEL_FRAMING as numbers, and the shape."""
    text = images.framing(Description("image_folder", [], shape, {}, [], framing=framing))
    name, *region = text.replace("{", "").replace("}", "").split(", ")
    methods = ["FRAMING_NONE", *(f"FRAMING_{method.upper()}" for method in photo.FRAMINGS)]
    return [str(methods.index(name)), *region, *map(str, shape)]


def framed_in_c(
    program: Path,
    pictures: list[tuple[Path, Framing, tuple[int, int, int]]],
    emulator: Sequence[str] = (),
) -> Array:
    """The pixels of all pictures, one after the other."""
    arguments = [
        word
        for path, framing, shape in pictures
        for word in (*c_arguments(framing, shape), "0", "0", "0", str(path))
    ]
    done = subprocess.run([*emulator, program, *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, np.uint8)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[photo.ORIENTATION] = orientation
    return exif


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}])
def test_a_jpeg_differs_in_c_by_three_levels_at_most_and_a_cut_one_is_refused(
    tmp_path: Path, in_c: Path, options: dict[str, Any]
) -> None:
    """No standard says how a decoder rounds, nor how it enlarges the colours of a JPEG."""
    cases: list[tuple[Path, Framing, tuple[int, int, int]]] = []
    for number, pixels in enumerate([*sheets(8, 3), *sheets(3, 1)]):
        path, channels = tmp_path / f"{number}.jpg", 3 if number % 3 else 1
        with_exif = {"exif": turned(number % 9), **options}
        Image.fromarray(pixels).save(path, quality=80, **with_exif)
        cases.append((path, FRAMINGS[number % 4], (40, 32, channels)))
    expected = [photo.read(path, card("npz", shape, framing)) for path, framing, shape in cases]
    pixels = framed_in_c(in_c, cases).astype(int)
    differences = np.abs(pixels - np.concatenate([image.ravel() for image in expected]))
    assert differences.max() <= 3
    assert differences.mean() < 0.3
    data = cases[0][0].read_bytes()
    for length in np.linspace(9, len(data) - 2, 12).astype(int):
        (tmp_path / "cut.jpg").write_bytes(data[:length])
        words = (*c_arguments("resize", (9, 9, 1)), "0", "0", "0", str(tmp_path / "cut.jpg"))
        done = subprocess.run([in_c, *words], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, ""), length
        assert "cut short" in done.stderr


CAMERA = (97, 61)  # pixels, width and height
FORMATS = {"L": 1, "RGB": 3, "RGB565, low byte first": 5, "RGB565, high byte first": 6}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_a_frame_of_a_camera_becomes_what_python_makes_of_it(
    tmp_path: Path, in_c: Path, form: str
) -> None:
    width, height = CAMERA
    dice = np.random.default_rng(0)
    if form.startswith("RGB565"):
        packed = dice.integers(0, 1 << 16, (height, width)).astype(np.uint16)
        frame = packed.astype("<u2" if "low" in form else ">u2").tobytes()
        colours = [packed >> 11, packed >> 5 & 63, packed & 31]
        wide = [colours[0] << 3 | colours[0] >> 2, colours[1] << 2 | colours[1] >> 4]
        picture = Image.fromarray(
            np.dstack([*wide, colours[2] << 3 | colours[2] >> 2]).astype("u1")
        )
    else:
        picture = Image.effect_noise(CAMERA, 90).convert(form)
        frame = picture.tobytes()
    (tmp_path / "frame").write_bytes(frame)
    arguments, expected = [], b""
    for framing in FRAMINGS:
        for shape in SHAPES:
            words = (*c_arguments(framing, shape), *map(str, CAMERA), str(FORMATS[form]))
            arguments += [*words, str(tmp_path / "frame")]
            converted = picture.convert("L" if shape[2] == 1 else "RGB")
            expected += photo.frame(converted, (shape[1], shape[0]), framing).tobytes()
    done = subprocess.run([in_c, *arguments], capture_output=True, check=True)
    assert done.stdout == expected


@pytest.mark.slow
def test_the_frame_of_a_small_camera_needs_the_memory_that_the_documentation_says(
    tmp_path: Path, in_c: Path
) -> None:
    (tmp_path / "frame").write_bytes(bytes(320 * 240 * 2))
    needed = []
    for framing in ("resize", "letterbox", "centre_crop"):
        words = (*c_arguments(framing, (96, 96, 3)), "320", "240", "6", str(tmp_path / "frame"))
        done = subprocess.run([in_c, *words], capture_output=True, check=True)
        needed.append(int(done.stderr))
    page = (ROOT / "docs/microcontroller.md").read_text(encoding="utf-8")
    assert f"{max(needed):,} bytes of scratch memory" in page


def framed_in_javascript(pictures: list[tuple[Array, Framing, tuple[int, int, int]]]) -> Array:
    """The pixels of all pictures (H, W, C), one after the other; alpha is Python's."""
    sent = [
        {
            "height": len(pixels),
            "width": pixels.shape[1],
            "data": pixels[..., channel].ravel().tolist(),
            "size": shape[:2],
            "framing": framing,
        }
        for pixels, framing, shape in pictures
        for channel in range(shape[2])
    ]
    planes = iter(in_node(FRAME, PICTURES, data=json.dumps(sent)))
    images = [
        np.stack([np.array(next(planes), np.uint8) for _ in range(shape[2])], axis=-1)
        for _, _, shape in pictures
    ]
    return np.concatenate([image.ravel() for image in images])


def flat(path: Path, channels: int) -> Array:
    with Image.open(path) as image:
        pixels = np.asarray(photo.upright(image, "L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


@pytest.mark.slow
def test_every_golden_photo_has_the_same_pixels_in_training_python_javascript_and_c(
    tmp_path: Path, in_c: Path
) -> None:
    cases = []
    for number, (framing, shape) in enumerate(
        (framing, shape) for framing in FRAMINGS for shape in SHAPES
    ):
        (tmp_path / str(number)).mkdir()
        model = card("image_folder", shape, framing)
        images = np.random.default_rng(number).integers(0, 256, (4, *shape)).astype(np.uint8)
        description = Description("image_folder", [], shape, {}, [], framing=framing)
        golden_photos.write(tmp_path / str(number), model, description, images)
        for expected in sorted((tmp_path / str(number) / "photos").glob("*.expected.png")):
            picture = expected.with_name(expected.name.replace(".expected", ""))
            trained = picture_file.image(picture.read_bytes(), shape, framing=framing)
            assert np.array_equal(np.asarray(Image.open(expected)).reshape(shape), trained), picture
            cases.append((picture, framing, shape, trained))
    assert len(cases) == 4 * 2 * 9
    pixels = np.concatenate([trained.ravel() for *_, trained in cases])
    paths = [(picture, framing, shape) for picture, framing, shape, _ in cases]
    np.testing.assert_array_equal(framed_in_c(in_c, paths), pixels)
    flats = [(flat(picture, shape[2]), framing, shape) for picture, framing, shape in paths]
    np.testing.assert_array_equal(framed_in_javascript(flats), pixels)


@pytest.mark.slow
def test_any_size_and_any_region_give_the_same_pixels_in_python_javascript_and_c(
    tmp_path: Path, in_c: Path
) -> None:
    dice, cases = np.random.default_rng(0), []
    pictures = [sheet for channels in (1, 3, 4) for sheet in sheets(12, channels)]
    pictures += [
        np.full((1, 1), 7, np.uint8),
        np.arange(700, dtype=np.uint16).astype(np.uint8)[None],
    ]
    for number, pixels in enumerate(pictures):
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path, exif=turned(number % 9))
        left, right = np.sort(dice.choice(10_001, 2, replace=False)) / 10_000
        top, bottom = np.sort(dice.choice(10_001, 2, replace=False)) / 10_000
        region = [float(left), float(top), float(right), float(bottom)]
        framing: Framing = [*FRAMINGS[:3], region][number % 4]
        height, width = (int(side) for side in dice.integers(1, 64, 2))
        cases.append((path, framing, (height, width, int(dice.choice([1, 3])))))
    pixels = np.concatenate(
        [
            photo.read(path, card("image_folder", shape, framing)).ravel()
            for path, framing, shape in cases
        ]
    )
    np.testing.assert_array_equal(framed_in_c(in_c, cases), pixels)
    flats = [(flat(path, shape[2]), framing, shape) for path, framing, shape in cases]
    np.testing.assert_array_equal(framed_in_javascript(flats), pixels)


def seen(width: int, height: int, size: tuple[int, int], framing: Framing) -> list[list[int]]:
    """Column and row, 10 each, of the corners that a picture of one colour for each pixel gives."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8) + 1
    pixels = np.dstack([columns * 10, rows * 10, np.full_like(rows, 255)])
    framed = np.asarray(photo.frame(Image.fromarray(pixels), size, framing))
    return [framed[0, 0].tolist(), framed[-1, -1].tolist()]


@pytest.mark.parametrize(
    ("size", "framing", "corners"),
    [
        # One column is too many on the right: what is cut begins at half of 5 - 4, rounded down
        ((4, 3), "centre_crop", [[10, 10, 255], [40, 30, 255]]),
        # 0.1 * 5 = 0.5 is rounded up to 1, and 0.5 * 3 = 1.5 to 2
        ((4, 2), [0.1, 0.0, 1.0, 0.5], [[20, 10, 255], [50, 20, 255]]),
        # A region of less than a pixel is the pixel in which it begins
        ((1, 1), [0.99, 0.99, 1.0, 1.0], [[50, 30, 255], [50, 30, 255]]),
        ((1, 1), [0.21, 0.4, 0.22, 0.41], [[20, 20, 255], [20, 20, 255]]),
        # The larger margin is at the top: 4 - 3 has no half
        ((5, 4), "letterbox", [[0, 0, 0], [50, 30, 255]]),
        ((6, 3), "letterbox", [[0, 0, 0], [50, 30, 255]]),
    ],
)
def test_halves_of_a_pixel_are_rounded_as_documented(
    size: tuple[int, int], framing: Framing, corners: list[list[int]]
) -> None:
    """A picture of 5 x 3 pixels, so that nothing but its edges changes."""
    assert seen(5, 3, size, framing) == corners


def test_an_older_pillow_resizes_as_the_one_that_prepared_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before 13 it always began with the columns; Python 3.9 has no Pillow after 11."""
    tall = Image.effect_noise((90, 900), 90)
    expected = [np.asarray(photo.frame(tall, (30, 20), framing)) for framing in FRAMINGS]
    resize = Image.Image.resize

    def columns_first(image: Image.Image, size: tuple[int, int], method: Any) -> Image.Image:
        return resize(resize(image, (size[0], image.height), method), size, method)

    monkeypatch.setattr(Image.Image, "resize", columns_first)
    older = [np.asarray(photo.frame(tall, (30, 20), framing)) for framing in FRAMINGS]
    as_before = np.asarray(columns_first(tall, (30, 20), Image.Resampling.LANCZOS))
    assert (as_before != expected[0]).any()
    for one, other in zip(older, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1)])
def test_a_line_is_letterboxed_and_cropped_to_at_least_a_pixel(size: tuple[int, int]) -> None:
    line = Image.new("L", size, 200)
    letterboxed = np.asarray(photo.frame(line, (9, 9), "letterbox"))
    assert (letterboxed == 200).sum() == 9
    assert (np.asarray(photo.frame(line, (9, 9), "centre_crop")) == 200).all()


@pytest.mark.parametrize(
    ("preprocessing", "reason"),
    [
        ({"method": "region"}, "region is None"),
        (
            {"method": "region", "region": [0.5, 0, 0.5, 1]},
            r"region is \(0.5, 0, 0.5, 1\), expected",
        ),
        ({"method": "region", "region": [0, 0, 1, 1.01]}, "expected fractions that rise"),
        ({"method": "region", "region": [0, 0, 1]}, "region has 3 values, expected 4"),
        ({"method": "letterbox", "region": [0, 0, 1, 1]}, "for the method region"),
    ],
)
def test_a_card_with_an_impossible_region_is_refused(
    preprocessing: dict[str, object], reason: str
) -> None:
    values = json.loads(card("image_folder").dump())
    values["preprocessing"] = {"description": "x", **preprocessing}
    with pytest.raises(BundleError, match=reason):
        ModelCard.parse(json.dumps(values).encode())


def test_an_old_card_means_what_it_meant_and_an_unknown_framing_is_refused() -> None:
    model = card("fashion_mnist")
    assert "region" not in json.loads(model.dump())["preprocessing"], "older packages refuse it"
    assert ModelCard.parse(model.dump()).preprocessing == model.preprocessing
    newer = dataclasses.replace(model, preprocessing=Preprocessing("fisheye", Text("x")))
    with pytest.raises(InputError, match="'fisheye', which this package does not know; install"):
        photo.to_input(Image.new("L", (9, 9)), newer)


def test_the_framing_is_in_the_description_of_the_data_and_in_the_card(tmp_path: Path) -> None:
    description = Description("image_list", ["a"], (8, 8, 1), {}, [], framing=REGION)
    artifacts.save_description(tmp_path / "description.json", description)
    assert artifacts.load_description(tmp_path / "description.json") == description
    model = card("image_list", framing=REGION)
    assert ModelCard.parse(model.dump()).preprocessing.region == tuple(REGION)
    assert model.preprocessing.description == (
        "cropped to the region from 0.1 to 0.85 of its width and from 0.25 to 1 of its height, and "
        "resized to the model's height and width with a Lanczos filter; transparent areas become "
        "white"
    )
    for framing in FRAMINGS[:3]:
        assert card("image_list", framing=framing).preprocessing.method == framing


def test_a_box_of_the_data_is_framed_like_a_whole_picture() -> None:
    file = io.BytesIO()
    noise = Image.effect_noise((90, 50), 80)
    noise.save(file, "PNG")
    box = (20, 3, 77, 41)
    for framing in FRAMINGS:
        expected = photo.frame(noise.crop(box), (16, 12), framing)
        pixels = picture_file.image(file.getvalue(), (12, 16, 1), box, framing)
        np.testing.assert_array_equal(pixels[..., 0], expected)
