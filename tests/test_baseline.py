"""The baseline, compared with the table that the lecture published (S1)."""

from __future__ import annotations

import pytest

from pipeline import download
from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.inputs import pixels
from pipeline.targets import _scores

PUBLISHED = {
    "rmse": (81, [87, 97, 76, 77, 82, 64, 86, 83, 71, 79]),
    "mae": (65, [82, 99, 45, 60, 68, 25, 77, 76, 38, 73]),
}


@pytest.mark.parametrize("distance", ["rmse", "mae"])
def test_the_lectures_table_is_reproduced_within_a_point_and_a_half(
    raw_mnist: Raw, distance: str
) -> None:
    images, labels = raw_mnist.train_images[:10000], raw_mnist.train_labels[:10000]
    means = pixels.class_means(images, labels, 10)
    predictions = pixels.nearest(images, means)[distance]
    description = download.describe(Dataset(name="mnist"), raw_mnist)
    scores = _scores.baseline_score(predictions, labels, description)
    recalls = [100 * recall for recall in scores.per_class.values()]
    total, per_class = PUBLISHED[distance]
    assert 100 * scores.accuracy == pytest.approx(total, abs=1.5)
    assert recalls == pytest.approx(per_class, abs=1.5)
