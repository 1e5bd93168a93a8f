"""The same photo gives the same pixels in training, Python, the browser and C."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.bundle import golden_photos
from pipeline.files.artifacts import Array, Description
from pipeline.files.pictures import picture_file
from pipeline.files.pictures.picture_file import Framing
from serving import photo
from serving.framing import upright
from tests.framing.conftest import FRAMINGS, SHAPES, framed_in_c, turned
from tests.test_browser import PICTURES, in_node, sheets
from tests.test_photo import card

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
        pixels = np.asarray(upright(image, "L" if channels == 1 else "RGB"))
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
