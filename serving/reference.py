"""On a model card: how inputs and answers are distributed on the test set, to compare the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List

from serving.typed_json import expect


@dataclass(frozen=True)
class Histogram:
    """Counts of values below, between and above the `edges`; a value on an edge counts above."""

    edges: List[float]
    counts: List[int]

    def __post_init__(self) -> None:
        fits = len(self.counts) == len(self.edges) + 1
        expect(fits, f"counts are {len(self.counts)}, expected one more than the edges")
        some = min(self.counts) >= 0 and sum(self.counts) > 0
        expect(some, "counts are those of nothing, expected 0 or more, and not all 0")


@dataclass(frozen=True)
class Reference:
    """The test set as the trained model saw it, to compare the field with.

    For each class, in the order of class_names: its `images` in the test set, those of them that
    are `right`, and how many of all images are `predicted` as it.
    """

    inputs: Dict[str, Histogram]  # names as in serving.inputs
    confidence: Histogram  # the probability of the predicted class
    predicted: List[int]
    images: List[int]
    right: List[int]

    def check(self, classes: int, test_images: int) -> None:
        """Expects counts of that many classes that a test set can have. Raises ValueError."""
        lists = self.right, self.images, self.predicted
        sizes = [len(counts) for counts in lists]
        expect(
            sizes == 3 * [classes], f"reference has {sizes} counts, expected {classes} of each kind"
        )
        for right, images, predicted in zip(*lists):
            fits = 0 <= right <= min(images, predicted) <= max(images, predicted) <= test_images
            expect(
                fits,
                f"reference has {right} right of {images} images and {predicted} predicted, "
                f"expected no more right than of either, and at most {test_images:,}",
            )


@dataclass(frozen=True)
class Spread:
    """The same for a model that answers with a number."""

    inputs: Dict[str, Histogram]  # names as in serving.inputs
    answers: Histogram  # in the unit of the card
