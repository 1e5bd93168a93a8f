"""The pictures of the reports."""

from __future__ import annotations

import logging
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.colors import PowerNorm

from pipeline.files.artifacts import Array
from pipeline.process.words import percent
from pipeline.reporting import calibration, drawing, statistics
from pipeline.reporting.calibration import Bin
from pipeline.reporting.figures import Figure

MOST_POINTS = 5000  # of true and predicted numbers
INDICATIVE = 20  # ids of each class
LONGEST_NAME = 24  # letters
TITLE, SERIES_TITLE = 18, 36  # letters of a line above an image or a series of a sheet
MOST_LINES = 5
NAMED_CLASSES = 30  # with more, a confusion matrix leaves out counts and most names

# Its warnings are of families without a regular weight, of which another weight does as well.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def plain(text: str) -> str:
    """Text that Matplotlib draws as it is: `$` is escaped, as it would begin a formula.

    Letters that the default font lacks come from another font of this machine, whose family is
    added to Matplotlib's settings; letters that no font has become question marks.
    """
    letters = [
        letter if font_of(letter) else "?"
        for letter in text
        if font_of(letter) or not is_control(letter)
    ]
    families = list(matplotlib.rcParams["font.family"])
    for letter in letters:
        family = font_of(letter)
        if family and family != default_font() and family not in families:
            families.append(family)
    matplotlib.rcParams["font.family"] = families
    return "".join(letters).replace("$", r"\$")


def is_control(letter: str) -> bool:
    return unicodedata.category(letter).startswith("C")


def shown_names(class_names: Sequence[str]) -> list[str]:
    """Short class names for a picture.

    Of a name with letters that no font here has, its number and the other letters are left. Names
    that are the same then become their numbers.
    """
    names = [short(name) for name in class_names]
    counts = Counter(names)
    return [
        drawable(number, name) if counts[name] == 1 else str(number)
        for number, name in enumerate(names)
    ]


def drawable(number: int, name: str) -> str:
    """The name, or its number with those of its letters that a font here has."""
    drawn = "".join(filter(font_of, name))
    if drawn == name:
        return name
    return f"{number}: {drawn.strip()}" if any(map(str.isalnum, drawn)) else str(number)


def short(name: str) -> str:
    """The name, or its beginning and its end if it has more than LONGEST_NAME letters."""
    if len(name) <= LONGEST_NAME:
        return name
    half = LONGEST_NAME // 2
    return f"{name[: half - 1]}…{name[-half:]}"


def wrapped(title: str, letters: int) -> str:
    """The title in at most MOST_LINES lines of this many letters; a wide letter counts as two."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in title)
    width = max(1, letters * len(title) // max(len(title) + wide, 1))
    lines = [line for part in title.split("\n") for line in textwrap.wrap(part, width) or [""]]
    return "\n".join(
        lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 2], "…", lines[-1]]
    )


@cache
def font_of(letter: str) -> str | None:
    """The family of a font that has the letter: Matplotlib's default, or else the first by name."""
    if letter == "\n":
        return default_font()
    names = {font.name for font in font_manager.fontManager.ttflist}
    families = sorted(name for name in names if "last resort" not in name.lower())
    for family in (default_font(), *families):
        if ord(letter) in code_points(family):
            return family
    return None


@cache
def default_font() -> str:
    return font_manager.get_font(font_manager.findfont(font_manager.FontProperties())).family_name


@cache
def code_points(family: str) -> Set[int]:
    """The code points in a family's regular font; none for a bitmap font, such as colour emoji."""
    properties = font_manager.FontProperties(family=[family])
    try:
        path = font_manager.findfont(properties, fallback_to_default=False)
        font = font_manager.get_font(path)
    except (OSError, RuntimeError, ValueError):  # uninstalled since it was listed, or unreadable
        return frozenset()
    return font.get_charmap().keys() if font.scalable else frozenset()


def images(path: Path, pictures: Array, titles: Sequence[str], title: str = "") -> None:
    """A sheet of images (N, H, W, C), values 0 to 255, each under its title."""
    titles = [plain(wrapped(text, TITLE)) for text in titles]
    columns = max(min(10, len(pictures)), 1)
    rows = max(-(-len(pictures) // columns), 1)
    # Inches: the width and height of a cell, and the longer side of the picture in it.
    side, lines = 1.15, max((text.count("\n") + 1 for text in titles), default=1)
    cell = np.array([1.3, side + max(0.4, 0.14 * lines + 0.04)])
    figure = Figure(figsize=(cell[0] * columns, cell[1] * rows + 0.4), layout="constrained")
    axis = figure.subplots()
    height, width = side * np.array(pictures.shape[1:3]) / max(pictures.shape[1:3])
    for place, (picture, text) in enumerate(zip(pictures, titles, strict=False)):
        bottom, middle = (place // columns + 1) * cell[1], (place % columns + 0.5) * cell[0]
        pixels: Any = np.clip(np.asarray(picture), 0, 255).astype(np.uint8)
        extent = (middle - width / 2, middle + width / 2, bottom, bottom - height)
        axis.imshow(
            pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels,
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=extent,
        )
        axis.text(middle, bottom - height - 0.04, text, fontsize=8, ha="center", va="bottom")
    axis.set(xlim=(0, cell[0] * columns), ylim=(cell[1] * rows, 0), aspect="equal")
    axis.axis("off")
    drawing.save(path, figure, title)


def indicative_ids(
    path: Path, scores: Array, names: Sequence[str], class_names: Sequence[str], title: str
) -> None:
    """For each class the ids with the highest scores (K, ids), as bars, the best on top."""
    # All text goes through `plain` before the first axis, which takes the fonts set by then.
    titles = [plain(name) for name in shown_names(class_names)]
    best_ids = [np.argsort(-values, kind="stable")[:INDICATIVE][::-1] for values in scores]
    labels = [[plain(names[index]) for index in ids] for ids in best_ids]
    figure = Figure(figsize=(4 * len(scores), 5), layout="constrained")
    axes = figure.subplots(1, len(scores), squeeze=False).flat
    for axis, values, ids, words, name in zip(axes, scores, best_ids, labels, titles, strict=True):
        axis.barh(words, values[ids])
        axis.set(title=name, xlabel="log-likelihood above the mean")
    drawing.save(path, figure, title)


def lines(path: Path, series: Array, titles: Sequence[str], title: str = "") -> None:
    """A sheet of series (N, T, C), a line for each channel, each series under its title."""
    titles = [plain(wrapped(text, SERIES_TITLE)) for text in titles]
    columns = max(min(5, len(series)), 1)
    rows = max(-(-len(series) // columns), 1)
    figure = Figure(figsize=(2.6 * columns, 1.8 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, values, heading in zip(axes.flat, series, titles, strict=False):
        axis.plot(np.asarray(values), linewidth=0.8)
        axis.set_title(heading, fontsize=8)
        axis.tick_params(labelsize=6)
    for axis in axes.flat[len(series) :]:
        axis.axis("off")
    drawing.save(path, figure, title)


def texts(path: Path, contents: Sequence[str], titles: Sequence[str], title: str = "") -> None:
    """A sheet of texts, each under its title."""
    contents = [plain(text) for text in contents]
    titles = [plain(text) for text in titles]
    rows = max(len(contents), 1)
    figure = Figure(figsize=(13, 0.9 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False)
    for axis, content, heading in zip(axes.flat, contents, titles, strict=False):
        axis.text(0, 0.5, content, fontsize=8, va="center", wrap=True)
        axis.set_title(heading, fontsize=9, loc="left")
    for axis in axes.flat:
        axis.axis("off")
    drawing.save(path, figure, title)


def against(path: Path, true: Array, predicted: Array, unit: str, title: str) -> None:
    """A point for each example, at most MOST_POINTS of them; the line is where all should be."""
    shown = np.random.default_rng(0).permutation(len(true))[:MOST_POINTS]
    ends = [float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))]
    with drawing.figure(path, (6, 6)) as figure:
        axis = figure.add_subplot()
        axis.scatter(true[shown], predicted[shown], s=4, alpha=0.3)
        axis.plot(ends, ends, color="tab:orange", linewidth=1.2)
        axis.set(xlabel=f"true, {plain(unit)}", ylabel=f"predicted, {plain(unit)}")
        axis.set_title(plain(title), fontsize=10)
        axis.grid(alpha=0.3)


def reliability(path: Path, models: Mapping[str, Sequence[Bin]]) -> None:
    """The accuracy of each model's answers by their confidence, with 95 % intervals.

    Below each bin stands how many answers it has.
    """
    rows, columns = -(-len(models) // 4), min(4, len(models))
    figure = Figure(figsize=(3.2 * columns, 3.3 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis, (name, bins) in zip(axes.flat, models.items(), strict=False):
        axis.plot([0, 1], [0, 1], color="gainsboro", zorder=0)
        accuracies = np.array([part.accuracy for part in bins])
        ends = np.array([statistics.accuracy_interval(part.right, part.decisions) for part in bins])
        axis.errorbar(
            [part.confidence for part in bins],
            accuracies,
            np.abs(ends.T - accuracies),
            fmt="o",
            markersize=4,
            linewidth=1,
        )
        for part in bins:
            axis.text(part.confidence, -0.1, part.decisions, fontsize=6, rotation=90, ha="center")
        axis.set_title(f"{plain(name)}: {calibration.mean_gap(bins):.4f}", fontsize=9)
        axis.set(xlim=(0, 1.02), ylim=(-0.12, 1.02))
    for axis in axes.flat[len(models) :]:
        axis.axis("off")
    figure.supxlabel("confidence", fontsize=9)
    figure.supylabel("accuracy", fontsize=9)
    figure.suptitle("Reliability on the test set, and the expected calibration error")
    drawing.save(path, figure)


def confusion_matrix(path: Path, matrix: Array, class_names: Sequence[str]) -> None:
    """Counts (K, K), a row for each true and a column for each predicted class.

    Beside each row is its recall. Above NAMED_CLASSES the picture stays as large as it is there,
    and leaves out counts and most names.
    """
    count = len(class_names)
    # Before the first axis, which takes the fonts set by then.
    names = [plain(name) for name in shown_names(class_names)]
    side = 0.55 * min(max(count, 4), NAMED_CLASSES)
    room = 0.08 * max(0, max(map(len, names), default=0) - 12)  # inches, for long names
    figure = Figure(figsize=(side + 2.2 + room, side + 1.8 + room / 2), layout="compressed")
    axis = figure.subplots()
    totals = matrix.sum(1)
    shares = matrix / np.maximum(totals, 1)[:, None]
    worst = draw_mistakes(axis, shares)
    for row, column in np.argwhere(matrix > 0) if count <= NAMED_CLASSES else []:
        number = f"{matrix[row, column]:.0f}"
        dark = row != column and shares[row, column] > worst / 2
        colour = "white" if dark else "black"
        axis.text(column, row, number, ha="center", va="center", fontsize=8, color=colour)
    shown = range(0, count, -(-count // NAMED_CLASSES))
    axis.set_xticks(shown, [names[row] for row in shown], rotation=45, ha="right")
    axis.set_yticks(shown, [names[row] for row in shown])
    axis.set(xlabel="predicted", ylabel="true")
    recalls = axis.secondary_yaxis("right")
    percents = [percent(shares[row, row], 1) if totals[row] else "no examples" for row in shown]
    recalls.set_yticks(shown, percents)
    recalls.tick_params(length=0)
    recalls.set_ylabel("recall")
    drawing.save(path, figure)


def draw_mistakes(axis: Any, shares: Array) -> float:
    """Colours mistakes by their shares (K, K) of the true class, the diagonal grey.

    The scale ends at the largest share, which is returned, so mistakes are visible however rare.
    """
    correct = np.eye(len(shares), dtype=bool)
    worst = float(shares[~correct].max(initial=0))
    colours = matplotlib.colormaps["Oranges"].with_extremes(bad="gainsboro")
    # The square root makes a hundredth of the largest share visible too.
    scale = PowerNorm(0.5, vmin=0, vmax=worst or 1)
    axis.imshow(np.ma.masked_array(shares, correct), cmap=colours, norm=scale)
    title = (
        f"colour: share of the true class, up to {percent(worst, 1)}" if worst else "no mistakes"
    )
    axis.set_title(title, fontsize=10)
    return worst
