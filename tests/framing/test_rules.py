"""How a framing rounds and crops, and what the card says of it."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.files import artifacts
from pipeline.files.artifacts import Description
from pipeline.files.pictures import picture_file
from pipeline.files.pictures.picture_file import Framing
from serving import BundleError, InputError, photo
from serving.framing import frame
from serving.model_card import ModelCard, Preprocessing
from serving.typed_json import Text
from tests.framing.conftest import FRAMINGS, REGION
from tests.test_photo import card


def seen(width: int, height: int, size: tuple[int, int], framing: Framing) -> list[list[int]]:
    """Column and row, 10 each, of the corners that a picture of one colour for each pixel gives."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8) + 1
    pixels = np.dstack([columns * 10, rows * 10, np.full_like(rows, 255)])
    framed = np.asarray(frame(Image.fromarray(pixels), size, framing))
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
    expected = [np.asarray(frame(tall, (30, 20), framing)) for framing in FRAMINGS]
    resize = Image.Image.resize

    def columns_first(image: Image.Image, size: tuple[int, int], method: Any) -> Image.Image:
        return resize(resize(image, (size[0], image.height), method), size, method)

    monkeypatch.setattr(Image.Image, "resize", columns_first)
    older = [np.asarray(frame(tall, (30, 20), framing)) for framing in FRAMINGS]
    as_before = np.asarray(columns_first(tall, (30, 20), Image.Resampling.LANCZOS))
    assert (as_before != expected[0]).any()
    for old, new in zip(older, expected, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1)])
def test_a_line_is_letterboxed_and_cropped_to_at_least_a_pixel(size: tuple[int, int]) -> None:
    line = Image.new("L", size, 200)
    letterboxed = np.asarray(frame(line, (9, 9), "letterbox"))
    assert (letterboxed == 200).sum() == 9
    assert (np.asarray(frame(line, (9, 9), "centre_crop")) == 200).all()


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
        expected = frame(noise.crop(box), (16, 12), framing)
        pixels = picture_file.image(file.getvalue(), (12, 16, 1), box, framing)
        np.testing.assert_array_equal(pixels[..., 0], expected)
