"""Example photos with the exact pixels each becomes, to test preprocessing in other languages.

Each photo is made from a golden test image and differs from it in one way that real photos do.
Where photos are framed, there are some of other shapes as well.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.files.artifacts import Array, Description
from serving import photo
from serving.framing import FRAMINGS
from serving.model_card import ModelCard


def write(bundle: Path, card: ModelCard, data: Description, images: Array) -> None:
    """Writes photos/ into the bundle, from golden images (N, H, W, C) uint8 that may be shown.

    For each variation it holds `<name>.png` and `<name>.expected.png`.
    """
    folder = bundle / "photos"
    folder.mkdir()
    framed = card.preprocessing.method in FRAMINGS
    variations = {**VARIATIONS, **(SHAPES if framed else {})}
    for index, (name, make) in enumerate(variations.items()):
        picture = make(images[index % len(images)].squeeze())
        path = folder / f"{name}.png"
        picture.save(path)
        Image.fromarray(photo.read(path, card).squeeze()).save(folder / f"{name}.expected.png")


def as_it_is(pixels: Array) -> Image.Image:
    return Image.fromarray(pixels)


def inverted(pixels: Array) -> Image.Image:
    return Image.fromarray(255 - pixels)


def far_and_aside(pixels: Array) -> Image.Image:
    """Five times as large, off-centre on a wide sheet."""
    height, width = pixels.shape[:2]
    sheet = np.zeros((9 * height, 14 * width, *pixels.shape[2:]), np.uint8)
    sheet[height : 6 * height, 8 * width : 13 * width] = pixels.repeat(5, 0).repeat(5, 1)
    return Image.fromarray(sheet)


def on_paper_in_uneven_light(pixels: Array) -> Image.Image:
    """Dark ink on grainy paper that gets darker from left to right."""
    channel_axes = pixels.ndim - 2
    margins = [(20, 20), (20, 20)] + [(0, 0)] * channel_axes
    ink = np.pad(pixels.repeat(4, 0).repeat(4, 1), margins).astype(np.int64)
    width = ink.shape[1]
    column = np.arange(width).reshape(1, -1, *[1] * channel_axes)
    paper = 210 - 60 * column // width
    grain = np.random.default_rng(0).integers(-4, 5, ink.shape)
    return Image.fromarray(np.clip(paper + grain - ink // 2, 0, 255).astype(np.uint8))


def colour_and_transparent(pixels: Array) -> Image.Image:
    """Blue ink on a transparent background."""
    opacity = pixels if pixels.ndim == 2 else pixels.max(-1)
    blue = np.broadcast_to(np.array([20, 30, 160], np.uint8), (*opacity.shape, 3))
    return Image.fromarray(np.dstack([blue, opacity]).repeat(3, 0).repeat(3, 1), "RGBA")


def tall(pixels: Array) -> Image.Image:
    return Image.fromarray(np.concatenate([pixels, 255 - pixels, pixels]))


def wide(pixels: Array) -> Image.Image:
    return Image.fromarray(np.concatenate([pixels, 255 - pixels, pixels], axis=1))


def tiny(pixels: Array) -> Image.Image:
    """2 x 3 pixels."""
    return Image.fromarray(np.ascontiguousarray(pixels[:3, :2]))


def odd(pixels: Array) -> Image.Image:
    """Both sides are odd, so that every framing has halves of a pixel to round."""
    height, width = pixels.shape[:2]
    return Image.fromarray(
        np.concatenate([pixels, 255 - pixels], axis=1)[
            : height // 2 * 2 - 1, : 3 * width // 4 * 2 - 1
        ]
    )


VARIATIONS = {
    "as-it-is": as_it_is,
    "inverted": inverted,
    "far-and-aside": far_and_aside,
    "on-paper-in-uneven-light": on_paper_in_uneven_light,
    "colour-and-transparent": colour_and_transparent,
}
SHAPES = {"tall": tall, "wide": wide, "tiny": tiny, "odd": odd}
