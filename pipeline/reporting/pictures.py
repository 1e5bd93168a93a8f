"""The pictures of the reports. Written without dates, so that equal contents are equal bytes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence, Set
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure

from pipeline.files.artifacts import Array
from pipeline.reporting import drawing


def plain(text: str) -> str:
    """A name or a text for Matplotlib, to which what stands between two dollars is a formula.

    Letters that its own font lacks come from another one of this machine, and those that none has are question marks.
    """
    shown = [
        sign if font_of(sign) else "?"
        for sign in text
        if font_of(sign) or unicodedata.category(sign)[0] != "C"
    ]
    families = matplotlib.rcParams["font.family"]
    more = {
        family: None for sign in shown if (family := font_of(sign)) and family != default_font()
    }
    matplotlib.rcParams["font.family"] = [
        *families,
        *(family for family in more if family not in families),
    ]
    return "".join(shown).replace("$", r"\$")


def shown_names(class_names: Sequence[str]) -> list[str]:
    """Class names as they stand in a picture: the number of a class instead of a name that no font of this machine can show."""
    return [
        name if all(map(font_of, name)) else str(number) for number, name in enumerate(class_names)
    ]


@cache
def font_of(sign: str) -> str | None:
    """The family of a font that has the letter, Matplotlib's own before the others by name; None where there is none."""
    if sign == "\n":
        return default_font()
    families = sorted(
        {
            font.name
            for font in font_manager.fontManager.ttflist
            if "last resort" not in font.name.lower()
        }
    )
    return next(
        (family for family in (default_font(), *families) if ord(sign) in letters(family)), None
    )


@cache
def default_font() -> str:
    return font_manager.get_font(font_manager.findfont(font_manager.FontProperties())).family_name


@cache
def letters(family: str) -> Set[int]:
    """The code points of the letters that a family's regular font has; none of a font of coloured bitmaps, as emoji are."""
    try:
        path = font_manager.findfont(
            font_manager.FontProperties(family=[family]), fallback_to_default=False
        )
        font = font_manager.get_font(path)
    except (
        OSError,
        RuntimeError,
        ValueError,
    ):  # uninstalled since Matplotlib listed it, or not to be read
        return frozenset()
    return font.get_charmap().keys() if font.scalable else frozenset()


def images(
    path: Path, pictures: Array, titles: Sequence[str], columns: int = 10, title: str = ""
) -> None:
    """A sheet of images (N, H, W, C), values 0 to 255, each under its title."""
    titles = [plain(text) for text in titles]
    columns = max(min(columns, len(pictures)), 1)
    rows = max(-(-len(pictures) // columns), 1)
    cell, side = (
        np.array([1.3, 1.55]),
        1.15,
    )  # inches: a cell, width and height, and the longer side of the picture in it
    figure = Figure(figsize=(cell[0] * columns, cell[1] * rows + 0.4), layout="constrained")
    axis = figure.subplots()
    height, width = side * np.array(pictures.shape[1:3]) / max(pictures.shape[1:3])
    for place, (picture, text) in enumerate(zip(pictures, titles, strict=False)):
        bottom, middle = (place // columns + 1) * cell[1], (place % columns + 0.5) * cell[0]
        shown: Any = np.clip(np.asarray(picture), 0, 255).astype(np.uint8)
        extent = (middle - width / 2, middle + width / 2, bottom, bottom - height)
        axis.imshow(
            shown.squeeze(-1) if shown.shape[-1] == 1 else shown,
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=extent,
        )
        axis.text(middle, bottom - height - 0.04, text, fontsize=8, ha="center", va="bottom")
    axis.set(xlim=(0, cell[0] * columns), ylim=(cell[1] * rows, 0), aspect="equal")
    axis.axis("off")
    if title:
        figure.suptitle(title)
    drawing.save(path, figure)


def telling_ids(
    path: Path, telling: Array, names: Sequence[str], class_names: Sequence[str], shown: int = 20
) -> None:
    """For each class the ids (columns of (K, ids)) with the highest values, as bars, the highest on top."""
    titles = [plain(name) for name in shown_names(class_names)]
    best = [np.argsort(-values, kind="stable")[:shown][::-1] for values in telling]
    labels = [[plain(names[row]) for row in rows] for rows in best]
    figure = Figure(figsize=(4 * len(telling), 5), layout="constrained")
    axes = figure.subplots(1, len(telling), squeeze=False)
    for axis, values, rows, words, title in zip(
        axes.flat, telling, best, labels, titles, strict=True
    ):
        axis.barh(words, values[rows])
        axis.set(title=title, xlabel="log-likelihood above the mean")
    drawing.save(path, figure)


def texts(path: Path, contents: Sequence[str], titles: Sequence[str], title: str = "") -> None:
    """A sheet of texts, each under its title."""
    contents, titles = ([plain(text) for text in column] for column in (contents, titles))
    rows = max(len(contents), 1)
    figure = Figure(figsize=(13, 0.9 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False)
    for axis, content, heading in zip(axes.flat, contents, titles, strict=False):
        axis.text(0, 0.5, content, fontsize=8, va="center", wrap=True)
        axis.set_title(heading, fontsize=9, loc="left")
    for axis in axes.flat:
        axis.axis("off")
    if title:
        figure.suptitle(title)
    drawing.save(path, figure)


def confusion_matrix(path: Path, matrix: Array, class_names: Sequence[str]) -> None:
    """Counts (K, K): a row for each true class, a column for each predicted one; coloured by the share of the row."""
    count = len(class_names)
    names = [
        plain(name) for name in shown_names(class_names)
    ]  # before any axis, which takes the fonts there are
    size = max(4.0, 0.55 * count + 2)
    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(count), names, rotation=45, ha="right")
    axis.set_yticks(range(count), names)
    axis.set(xlabel="predicted", ylabel="true")
    for row, column in np.argwhere(matrix > 0) if count <= 30 else []:
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(
            column,
            row,
            str(matrix[row, column]),
            ha="center",
            va="center",
            fontsize=8,
            color=colour,
        )
    drawing.save(path, figure)
