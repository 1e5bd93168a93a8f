"""Golden vectors: the images that a device must answer as the files did here, chosen to notice if it does not.

An evenly spread sample shows that a file works at all. What differs from one processor to another shows where a
file is furthest from the Keras model, where two classes are nearly equal, and at the ends of the input's range,
where sums of products are largest and would saturate first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.files.artifacts import Array

SPREAD, CLOSE, DIFFERENT = (
    16,
    4,
    1,
)  # over the classes, nearest to a decision boundary, and for each file
INVENTED = 32  # where no test image may be passed on
NO_LABEL = -1  # of an image that nobody labelled


@dataclass(frozen=True)
class Golden:
    """Images (G, H, W, C), labels (G,), and the probabilities (G, K) of each format.

    The first `spread` are test images over the classes, the next ones test images that were chosen to tell, the last
    ones synthetic. Where no test image may be passed on, all are synthetic.
    """

    images: Array
    labels: Array
    probabilities: dict[str, Array]
    spread: int

    @property
    def telling(self) -> Array:
        """The images that were chosen to notice a difference."""
        return self.images[self.spread :]


def synthetic(images: Array, labels: Array, highest: int) -> Array:
    """Inputs (E, ...) that nobody recorded, at the ends of what can be: negatives of test images, zeros, `highest`, noise.

    `images` (N, ...) are those of the test set, `labels` (N,). Bright where the data are dark and the other way round,
    negatives make sums of products that the data do not.
    """
    shape = images.shape[1:]
    negatives = highest - np.asarray(images[spread_rows(labels)[::2]])
    noise = np.random.default_rng(0).integers(0, highest + 1, shape)
    extremes = np.stack([np.zeros(shape), np.full(shape, highest), noise])
    return np.concatenate([negatives, extremes]).astype(images.dtype)


def invented(images: Array, highest: int) -> Array:
    """The same of nothing that was recorded, for data that may not be passed on, of which a negative tells as much.

    Drawn at random; by chance ids can be those of a test input, and such a draw is left out.
    """
    shape = images.shape[1:]
    lowest = 0 if images.dtype == np.uint8 else 1  # id 0 is padding
    drawn = (
        np.random.default_rng(0)
        .integers(lowest, highest + 1, (INVENTED, *shape))
        .astype(images.dtype)
    )
    recorded = {image.tobytes() for image in images}
    kept = [image for image in drawn if image.tobytes() not in recorded]
    return np.stack([*kept, np.zeros_like(drawn[0]), np.full_like(drawn[0], highest)])


def choose(
    images: Array, labels: Array, reference: Array, answers: Mapping[str, Array], made: Array
) -> Golden:
    """The golden vectors of test images (N, ...), labels (N,) and the Keras model's `reference` (N, K).

    `answers` are the probabilities of each format: of the test images first, of `made` (E, ...), the synthetic inputs, last.
    """
    tests, spread = len(labels), spread_rows(labels)
    tested = [told[:tests] for told in answers.values()]
    telling = [row for row in telling_rows(reference, tested) if row not in spread]
    rows = np.array([*spread, *telling], int)
    unlabelled = [NO_LABEL] * len(made)
    return Golden(
        images=np.concatenate([images[rows], made]),
        labels=np.concatenate([labels[rows], unlabelled]).astype(np.int64),
        probabilities={
            name: np.concatenate([told[rows], told[-len(made) :]]) for name, told in answers.items()
        },
        spread=len(spread),
    )


def spread_rows(labels: Array) -> list[int]:
    """Rows spread evenly over the classes, in order."""
    by_class = np.argsort(labels, kind="stable")
    places = np.linspace(0, len(labels) - 1, min(SPREAD, len(labels)), dtype=int)
    return [int(row) for row in np.sort(by_class[places])]


def telling_rows(reference: Array, tested: list[Array]) -> list[int]:
    """The rows nearest to a decision boundary, and for each file those on which it differs most, each once."""
    highest = np.sort(reference, axis=1)[:, -2:]
    close = np.argsort(highest[:, 1] - highest[:, 0], kind="stable")[:CLOSE]
    different = [
        row
        for probabilities in tested
        for row in np.argsort(-np.abs(probabilities - reference).max(1), kind="stable")[:DIFFERENT]
    ]
    return list(dict.fromkeys(int(row) for row in (*close, *different)))
