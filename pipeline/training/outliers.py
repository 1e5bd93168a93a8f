"""Made-up pictures that are none of the classes, from which a network learns to be unsure.

A network that has seen only digits is as sure of a shoe as of a digit. `train.outliers` adds
pictures to each batch whose right answer is every class alike (outlier exposure: Hendrycks et al.,
2019, Deep Anomaly Detection with Outlier Exposure, ICLR). They are drawn here, or made from the
batch itself, so no other data are needed. A user who has pictures of none of the classes names them
in `dataset.other`, and they are added in the same way. Half of those made up are shapes and
silhouettes, the kinds that are most like a picture of something else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.files.artifacts import Array

Random = np.random.Generator
Maker = Callable[[Array, Random], Array]  # images (N, H, W, C) uint8 -> as many pictures

LARGEST = 255
OTHERS = 0.15  # of a batch; the share at which made-up outliers did well on MNIST
PIECES, SIDES = 6, 5  # of the shapes: convex polygons, and the most sides that one has
SOFTEST, COARSEST = 8, 14  # points a side of the grids behind clouds and patterns


def added(images: Array, labels: Array, share: float, seed: tuple[int, ...]) -> tuple[Array, Array]:
    """A batch of images and one-hot labels, and as many outliers as this share of it."""
    random = np.random.default_rng(seed)
    rows = random.permutation(len(images))[: round(share * len(images))]
    return _with(images, labels, pictures(images[rows], random))


def with_others(
    images: Array, labels: Array, others: Array, seed: tuple[int, ...]
) -> tuple[Array, Array]:
    """A batch, and OTHERS of it from the user's pictures of none of the classes (M, H, W, C)."""
    random = np.random.default_rng(seed)
    count = max(1, round(OTHERS * len(images)))
    rows = np.sort(random.integers(len(others), size=count))  # sorted, as they lie on the disk
    return _with(images, labels, others[rows])


def _with(images: Array, labels: Array, outliers: Array) -> tuple[Array, Array]:
    classes = labels.shape[1]
    alike = np.full((len(outliers), classes), 1 / classes, labels.dtype)
    return np.concatenate([images, outliers]), np.concatenate([labels, alike])


def pictures(images: Array, random: Random) -> Array:
    """An outlier in place of each image (N, H, W, C) uint8."""
    result = np.empty_like(images)
    kinds = random.integers(len(KINDS), size=len(images))
    for number, make in enumerate(KINDS):
        rows = np.flatnonzero(kinds == number)
        if len(rows):
            result[rows] = make(images[rows], random)
    return result


def noise(images: Array, random: Random) -> Array:
    """Every pixel by itself, half of the time from the whole range."""
    low, high = np.sort(random.integers(0, LARGEST + 1, (2, len(images), 1, 1, 1)), axis=0)
    whole = random.random((len(images), 1, 1, 1)) < 0.5
    low, high = np.where(whole, 0, low), np.where(whole, LARGEST, high)
    return random.integers(low, high + 1, images.shape).astype(np.uint8)


def blank(images: Array, random: Random) -> Array:
    """One flat colour."""
    colours = random.integers(0, LARGEST + 1, (len(images), 1, 1, images.shape[-1]))
    return np.broadcast_to(colours, images.shape).astype(np.uint8)


def inverted(images: Array, _: Random) -> Array:
    return LARGEST - images


def cut(images: Array, random: Random) -> Array:
    """About half of each image is gone, on one of four sides; the colour is that of its corner."""
    result = images.copy()
    for picture in result:
        turned = np.rot90(picture, int(random.integers(4)))  # a view
        turned[: round(random.uniform(0.4, 0.6) * len(turned))] = picture[0, 0].copy()
    return result


def crossed(images: Array, random: Random) -> Array:
    """Two images of the batch over each other, one of them lying or, if not square, upside down."""
    other = images[random.permutation(len(images))]
    if images.shape[1] == images.shape[2]:
        other = np.rot90(other, 1 + 2 * int(random.integers(2)), (1, 2))
    else:
        other = other[:, ::-1, ::-1]
    return np.maximum(images, other)


def clouds(images: Array, random: Random) -> Array:
    """Soft or sharp spots of random size, under more or less noise."""
    count = len(images)
    steep, middle = np.exp(random.uniform(0, 4, (count, 1, 1, 1))), random.normal(0, 0.5, count)
    spots = _sigmoid(steep * (_smooth(images.shape, random) - middle[:, None, None, None]))
    bright = random.uniform(0.3, 1, (count, 1, 1, 1))
    grain = random.random((count, 1, 1, 1)) * random.random(images.shape)
    return _pixels(spots * bright * (1 - grain))


def shapes(images: Array, random: Random) -> Array:
    """Filled polygons on black, some mirrored and some with a pattern, as things in a picture are.

    A polygon is the intersection of half-planes around its centre. The first piece is thick, or a
    long bar, so that none of them looks like a single stroke of a pen.
    """
    count, height, width, channels = images.shape
    corners = random.uniform(0, 2 * np.pi, (count, PIECES, SIDES))
    square = np.round(corners / (np.pi / 2)) * (np.pi / 2) + random.normal(0, 0.12, corners.shape)
    angles = np.where(random.random((count, PIECES, 1)) < 0.5, square, corners)
    reach = random.uniform(0.03, 0.45, angles.shape)
    reach[:, 0] = np.maximum(reach[:, 0], 0.09)
    bars = random.random(count) < 0.2
    across = np.abs(np.sin(angles[bars, 0]))
    reach[bars, 0] = np.where(across > 0.7, random.uniform(0.04, 0.12, across.shape), 0.45)
    filled = _polygons(angles, reach, random.uniform(-0.3, 0.3, (2, count, PIECES)), height, width)
    used = np.arange(PIECES) < random.integers(1, PIECES + 1, (count, 1))
    bright = np.where(used, random.uniform(0.25, 1, (count, PIECES)), 0)
    picture = (filled * bright[..., None, None]).max(1)
    mirrored = random.random((count, 1, 1)) < 0.5
    picture = np.where(mirrored, np.maximum(picture, picture[..., ::-1]), picture)[..., None]
    spots = _sigmoid(8 * _smooth(images.shape, random, COARSEST))
    pattern = (random.random((count, 1, 1, 1)) < 0.5) * random.random((count, 1, 1, 1)) * spots
    return _pixels(np.broadcast_to(picture, (*picture.shape[:3], channels)) * (1 - pattern))


def silhouettes(images: Array, random: Random) -> Array:
    """Filled outlines that are alike on both sides of an axis, upright or lying, and shaded.

    Most of them are split from one end on, like a fork. All are wider than a stroke of a pen.
    """
    count, height, width, _ = images.shape
    turned = random.random((count,)) < 0.5
    result = np.empty(images.shape, np.float32)
    result[~turned] = _outlines(int((~turned).sum()), height, width, random)[..., None]
    lying = _outlines(int(turned.sum()), width, height, random)
    result[turned] = lying.swapaxes(1, 2)[..., None]
    spots = _sigmoid(8 * _smooth(images.shape, random, COARSEST))
    shade = random.random((count, 1, 1, 1)) * spots
    return _pixels(result * random.uniform(0.3, 1, (count, 1, 1, 1)) * (1 - shade))


def _outlines(count: int, height: int, width: int, random: Random) -> Array:
    """How much of each pixel an upright outline covers: (N, H, W) from 0 to 1.

    Its width is a smooth random function of the height, around an axis that may lean; half of them
    reach from edge to edge. A gap that splits one may close towards its end.
    """
    y, x = (np.arange(size, dtype=np.float32) / size - 0.5 for size in (height, width))
    each = (count, 1, 1)
    mean, wavy = random.uniform(0.1, 0.35, each), random.uniform(0, 0.12, each)
    half = np.clip(mean + wavy * _smooth((count, height, 1, 1), random)[..., 0], 0.07, 0.47)
    across = np.abs(x - random.uniform(-0.1, 0.1, each) - random.normal(0, 0.1, each) * y[:, None])
    length = np.where(random.random(each) < 0.5, 0.55, random.uniform(0.25, 0.5, each))
    inside = np.minimum(half - across, length - np.abs(y)[:, None])
    split = random.uniform(0.02, 0.5, each) * half
    fork = random.uniform(-0.4, 0.2, each)
    down = np.where(random.random(each) < 0.5, -1, 1) * y[:, None]
    closing = random.random(each) * np.clip((down - fork) / (0.5 - fork), 0, 1)
    gap = np.minimum(split * (1 - closing) - across, down - fork)
    gap = np.where(random.random(each) < 0.6, gap, -1)
    return _sigmoid(60 * np.minimum(inside, -gap))


def _polygons(angles: Array, reach: Array, centres: Array, height: int, width: int) -> Array:
    """How much of each pixel a polygon covers: (N, P, H, W) from 0 to 1."""
    y, x = (np.arange(size, dtype=np.float32) / size - 0.5 for size in (height, width))
    across, down = x - centres[1][..., None], y - centres[0][..., None]
    inside = np.full((*angles.shape[:2], height, width), np.inf, np.float32)
    for side in range(angles.shape[2]):
        angle, limit = angles[..., side, None, None], reach[..., side, None, None]
        along = across[..., None, :] * np.cos(angle) + down[..., None] * np.sin(angle)
        inside = np.minimum(inside, limit - along)
    return _sigmoid(60 * inside)


def _smooth(shape: tuple[int, ...], random: Random, largest: int = SOFTEST) -> Array:
    """Random maps (N, H, W, C) around 0, from grids of 2 to `largest` points a side."""
    count, height, width, channels = shape
    result = np.empty(shape, np.float32)
    sizes = random.integers(2, largest + 1, count)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        grids = random.standard_normal((len(rows), size, size, channels)).astype(np.float32)
        down, across = _interpolation(height, size), _interpolation(width, size)
        result[rows] = np.einsum("hi,wj,nijc->nhwc", down, across, grids, optimize=True)
    return result


def _interpolation(length: int, points: int) -> Array:
    """The weights (length, points) of a linear interpolation between equally spaced points."""
    place = np.linspace(0, points - 1, length)[:, None] - np.arange(points)
    return np.maximum(1 - np.abs(place), 0).astype(np.float32)


def _sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


def _pixels(values: Array) -> Array:
    return (LARGEST * values).astype(np.uint8)


KINDS: tuple[Maker, ...] = (
    *(noise, blank, inverted, cut, cut, cut, crossed, crossed, clouds),
    *[shapes] * 4,
    *[silhouettes] * 4,
)
