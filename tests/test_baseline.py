"""The baseline, compared with the table that the lecture published (S1), and the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipeline import download
from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.files.artifacts import Description
from pipeline.inputs import _sheet, pixels, series
from pipeline.reporting import class_counts, drawing, pictures
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


@pytest.mark.parametrize(
    ("classes", "shown", "each"),
    [(2, 2, 10), (10, 10, 10), (37, 37, 5), (100, 100, 2), (1000, 100, 2)],
)
def test_a_contact_sheet_has_examples_of_each_class_or_of_some_and_says_so(
    classes: int, shown: int, each: int
) -> None:
    labels = np.random.default_rng(0).permutation(np.arange(classes).repeat(12))
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    rows, count, of = _sheet.examples(images, labels, pixels.CLASSES)
    assert (count, of) == (shown, classes)
    values, counts = np.unique(labels[rows], return_counts=True)
    assert (len(values), set(counts)) == (shown, {each})
    assert values[0] == 0
    assert values[-1] == classes - 1
    assert labels[rows].tolist() == sorted(labels[rows])
    says = _sheet.title("Examples", count, of)
    assert says == (
        "Examples" if classes < 1000 else "Examples: 100 of 1,000 classes, evenly spaced"
    )


def test_a_contact_sheet_of_large_photos_has_fewer_of_them_in_memory() -> None:
    photos = np.lib.stride_tricks.as_strided(
        np.zeros(1, np.uint8), (600, 2000, 2000, 3), (0, 0, 0, 0)
    )
    rows, shown, classes = _sheet.examples(photos, np.arange(600) % 60, pixels.CLASSES)
    assert len(rows) == shown == 5
    assert classes == 60
    assert len(rows) * 12_000_000 <= _sheet.BYTES


def test_the_pictures_of_a_thousand_classes_are_no_larger_than_their_bound(tmp_path: Path) -> None:
    labels = np.arange(1000)
    names = [f"class {label}" for label in labels]
    description = Description("own", names, (2, 2, 1), {}, [])
    images = np.zeros((1000, 2, 2, 1), np.uint8)
    pixels.baseline(images, labels, description, pictures, tmp_path / "means.png")
    windows = np.zeros((1000, 5, 1), np.float32)
    series.baseline(windows, labels, description, pictures, tmp_path / "series.png")
    sizes = {}
    for name in ("means", "series"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            sizes[name] = picture.size
    assert sizes == {"means": (1300, 1590), "series": (1300, 950)}


def test_the_class_counts_of_a_thousand_classes_name_the_smallest_and_the_largest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    save = drawing.save

    def saved(path: Path, figure: Figure) -> None:
        drawn.append(figure)
        save(path, figure)

    monkeypatch.setattr(drawing, "save", saved)
    for count in (2, 1000):
        training = np.arange(1, count + 1)
        names = [f"class {number}" for number in range(count)]
        class_counts.draw(
            tmp_path / "counts.png", {"training": training, "test": np.ones(count, int)}, names
        )
    few, many = (figure.axes[0] for figure in drawn)
    assert [text.get_text() for text in few.get_yticklabels()] == ["class 0", "class 1"]
    assert [text.get_text().strip() for text in few.texts] == ["2", "3"]
    assert "smallest: class 2 (4), class 1 (3), class 0 (2)" in many.get_xlabel()
    assert "largest: class 999 (1,001)" in many.get_xlabel()
    assert drawn[1].legends[0].get_texts()[0].get_text() == "training: 500,500"
    with Image.open(tmp_path / "counts.png") as picture:
        assert picture.size == (800, 450)
