"""Tables and pictures with any class name that a person may choose."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

from pipeline.diagnosis import picture
from pipeline.files import artifacts
from pipeline.reporting import drawing, pictures

NAMES = ["cat, big", 'the "dog"', "c$_$d"]


def test_names_with_commas_and_quotes_come_back_from_a_table(tmp_path: Path) -> None:
    artifacts.save_csv(
        tmp_path / "confusion.csv", ("actual", "predicted"), [(name, NAMES[0]) for name in NAMES]
    )
    with (tmp_path / "confusion.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["actual", "predicted"],
            *([name, NAMES[0]] for name in NAMES),
        ]


@pytest.mark.parametrize("shape", [(3, 8, 8, 1), (3, 8, 8, 3)])
def test_names_that_look_like_formulas_are_drawn_as_they_are(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    pictures.images(tmp_path / "means.png", np.zeros(shape), NAMES)
    pictures.confusion_matrix(tmp_path / "confusion.png", np.eye(3), NAMES)
    pictures.indicative_ids(tmp_path / "ids.png", np.zeros((3, 3)), NAMES, NAMES, "ids")
    pictures.texts(tmp_path / "texts.png", NAMES, NAMES)
    assert len(list(tmp_path.glob("*.png"))) == 4


@pytest.fixture
def font(tmp_path: Path) -> Iterator[str]:
    """The name of a font with two Chinese letters, installed where Matplotlib finds it.

    Like some fonts of Debian, its family has no regular weight.
    """
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "cat", "dog"])
    builder.setupCharacterMap({0x732B: "cat", 0x72AC: "dog", PRIVATE: "dog"})
    shapes = {}
    for name, width in ((".notdef", 900), ("cat", 300), ("dog", 700)):
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for corner in ((0, 800), (width, 800), (width, 0)):
            pen.lineTo(corner)
        pen.closePath()
        shapes[name] = pen.glyph()
    builder.setupGlyf(shapes)
    builder.setupHorizontalMetrics(dict.fromkeys(shapes, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Edgeproof Test", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWeightClass=380)
    builder.setupPost()
    builder.save(tmp_path / "test.ttf")
    before = list(font_manager.fontManager.ttflist)
    families = list(matplotlib.rcParams["font.family"])
    font_manager.fontManager.addfont(tmp_path / "test.ttf")
    pictures.font_of.cache_clear()
    yield "Edgeproof Test"
    font_manager.fontManager.ttflist[:] = before
    matplotlib.rcParams["font.family"] = families
    pictures.font_of.cache_clear()


PRIVATE = 0x10FFFD  # the last code point for private use: no other font has it
UNSHOWN = chr(PRIVATE)


def draw_all(folder: Path, names: list[str]) -> dict[str, bytes]:
    folder.mkdir()
    shown = pictures.shown_names(names)
    pictures.images(
        folder / "means.png",
        np.zeros((3, 8, 8, 1)),
        [f"{name} as {shown[0]}\n0.98" for name in shown],
    )
    pictures.confusion_matrix(folder / "confusion.png", np.eye(3), names)
    pictures.indicative_ids(folder / "ids.png", np.eye(3), ["a", "b", "c"], names, "ids")
    pictures.texts(folder / "texts.png", shown, shown)
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


@pytest.mark.filterwarnings("error")
def test_a_name_that_no_font_can_show_is_its_number_in_pictures(tmp_path: Path) -> None:
    plain = ["cat", "Käse", "10 €"]
    assert draw_all(tmp_path / "plain", plain) == draw_all(tmp_path / "again", plain)
    unshown = draw_all(tmp_path / "unshown", [UNSHOWN, f"dog {UNSHOWN}", "bird"])
    assert unshown == draw_all(tmp_path / "numbers", ["0", "1: dog", "bird"])
    pictures.texts(tmp_path / "texts.png", [f"a text with {UNSHOWN}\n\tand\x07"], ["猫 🐈 ก ﷽"])


@pytest.mark.filterwarnings("error")
def test_long_names_leave_room_for_the_pictures(tmp_path: Path) -> None:
    """Matplotlib warns when the names take all of it."""
    names = ["a" * 200, "a pair of trousers with a belt", "b" * 100]
    assert pictures.shown_names(names)[1] == "a pair of t… with a belt"
    assert pictures.shown_names(["a" * 30, "a" * 31, "b" * 30]) == [
        "0",
        "1",
        "b" * 11 + "…" + "b" * 12,
    ]
    title = pictures.wrapped("golden retriever is labrador retriever of the north\n0.98", 18)
    assert title == "golden retriever\nis labrador\nretriever of the\nnorth\n0.98"
    assert pictures.wrapped("猫" * 12, 18) == "猫" * 9 + "\n" + "猫" * 3
    assert pictures.wrapped("\n".join("abcdefg"), 18) == "a\nb\nc\n…\ng"
    draw_all(tmp_path / "long", names)


@pytest.mark.filterwarnings("error")
def test_a_name_comes_from_a_font_that_has_it(
    tmp_path: Path, font: str, caplog: pytest.LogCaptureFixture
) -> None:
    letter = draw_all(tmp_path / "letters", [UNSHOWN, f"dog {UNSHOWN}", "bird"])
    assert pictures.font_of(UNSHOWN) == font
    assert font in matplotlib.rcParams["font.family"]
    numbers = draw_all(tmp_path / "numbers", ["0", "1", "bird"])
    assert all(letter[name] != numbers[name] for name in letter)
    assert pictures.font_of("d") == "DejaVu Sans", "the default font shows what it can"
    assert not caplog.records, "nothing is said of weights on the terminal"


def test_a_single_mistake_among_thousands_is_visible_in_the_confusion_matrix(
    tmp_path: Path,
) -> None:
    def colours(matrix: np.ndarray) -> np.ndarray:
        pictures.confusion_matrix(tmp_path / "confusion.png", matrix, NAMES)
        with Image.open(tmp_path / "confusion.png") as picture:
            return np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)

    correct = np.diag([10_000, 10_000, 10_000])
    mistaken = correct.copy()
    mistaken[0, 2] = 1
    darkest = (127, 39, 4)  # the end of Matplotlib's colormap "Oranges"
    assert not (colours(correct) == darkest).all(1).any()
    assert (colours(mistaken) == darkest).all(1).any()


@pytest.mark.parametrize("count", [2, 8, 30])
def test_no_word_of_a_confusion_matrix_is_cut_off(count: int, tmp_path: Path) -> None:
    names = [
        f"Golden Delicious {number}" if count == 30 else str(number) for number in range(count)
    ]
    pictures.confusion_matrix(tmp_path / "confusion.png", np.eye(count) * 30 + 1, names)
    pixels = np.asarray(Image.open(tmp_path / "confusion.png").convert("L"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() == 255


def test_a_confusion_matrix_of_a_thousand_classes_is_as_large_as_one_of_thirty(
    tmp_path: Path,
) -> None:
    sizes = []
    for count in (30, 1000):
        names = [f"class {number}" for number in range(count)]
        matrix = np.eye(count, dtype=int)
        matrix[0, count - 1] = 1
        pictures.confusion_matrix(tmp_path / "confusion.png", matrix, names)
        with Image.open(tmp_path / "confusion.png") as picture:
            sizes.append(picture.size)
    assert sizes[0] == sizes[1]


def test_the_axis_of_an_accuracy_ends_at_one_and_the_legend_covers_no_curve(
    tmp_path: Path,
) -> None:
    rows = [{"epoch": epoch, "train_loss": 0.1, "validation_loss": 0.2} for epoch in (1.0, 2.0)]
    rows = [row | {"train_accuracy": 1.0, "validation_accuracy": 1.0} for row in rows]
    drawn: list[Figure] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "save", lambda path, figure: drawn.append(figure))
        picture.draw(tmp_path / "curves.png", rows, 2, ("good_fit", 1, "nothing is wrong"))
        for since in (1, 2):
            picture.draw(tmp_path / "curves.png", rows, 2, ("overfit", since, "memorized"))
    assert [len(figure.axes[0].patches) for figure in drawn] == [0, 0, 1], "all is not shaded"
    assert drawn[0].axes[1].get_ylim()[1] == 1
    assert all(axis.get_legend() is None for axis in drawn[0].axes)
    assert len(drawn[0].legends) == 1
