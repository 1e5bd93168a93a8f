"""The pictures of the reports. Written without dates, so that equal contents are equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.artifacts import Array
from pipeline.stage import replacing


def save(path: Path, figure: Figure) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})


def plain(name: str) -> str:
    """A name or a text for Matplotlib, to which what stands between two dollars is a formula."""
    return name.replace("$", r"\$")


def images(path: Path, pictures: Array, titles: Sequence[str], columns: int = 10, title: str = "") -> None:
    """A sheet of images (N, H, W, C), values 0 to 255, each under its title."""
    columns = max(min(columns, len(pictures)), 1)
    rows = max(-(-len(pictures) // columns), 1)
    cell, side = np.array([1.3, 1.55]), 1.15  # inches: a cell, width and height, and the longer side of the picture in it
    figure = Figure(figsize=(cell[0] * columns, cell[1] * rows + 0.4), layout="constrained")
    axis = figure.subplots()
    height, width = side * np.array(pictures.shape[1:3]) / max(pictures.shape[1:3])
    for place, (picture, text) in enumerate(zip(pictures, titles, strict=False)):
        bottom, middle = (place // columns + 1) * cell[1], (place % columns + 0.5) * cell[0]
        shown: Any = np.clip(np.asarray(picture), 0, 255).astype(np.uint8)
        extent = (middle - width / 2, middle + width / 2, bottom, bottom - height)
        axis.imshow(shown.squeeze(-1) if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=255, extent=extent)
        axis.text(middle, bottom - height - 0.04, plain(text), fontsize=8, ha="center", va="bottom")
    axis.set(xlim=(0, cell[0] * columns), ylim=(cell[1] * rows, 0), aspect="equal")
    axis.axis("off")
    if title:
        figure.suptitle(title)
    save(path, figure)


def telling_ids(path: Path, telling: Array, names: Sequence[str], class_names: Sequence[str], shown: int = 20) -> None:
    """For each class the ids (columns of (K, ids)) with the highest values, as bars, the highest on top."""
    figure = Figure(figsize=(4 * len(telling), 5), layout="constrained")
    axes = figure.subplots(1, len(telling), squeeze=False)
    for axis, values, title in zip(axes.flat, telling, class_names, strict=True):
        best = np.argsort(-values, kind="stable")[:shown][::-1]
        axis.barh([plain(names[row]) for row in best], values[best])
        axis.set(title=plain(title), xlabel="log-likelihood above the mean")
    save(path, figure)


def texts(path: Path, contents: Sequence[str], titles: Sequence[str], title: str = "") -> None:
    """A sheet of texts, each under its title."""
    rows = max(len(contents), 1)
    figure = Figure(figsize=(13, 0.9 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False)
    for axis, content, heading in zip(axes.flat, contents, titles, strict=False):
        axis.text(0, 0.5, plain(content), fontsize=8, va="center", wrap=True)
        axis.set_title(plain(heading), fontsize=9, loc="left")
    for axis in axes.flat:
        axis.axis("off")
    if title:
        figure.suptitle(title)
    save(path, figure)


def confusion_matrix(path: Path, matrix: Array, class_names: Sequence[str]) -> None:
    """Counts (K, K): a row for each true class, a column for each predicted one; coloured by the share of the row."""
    count = len(class_names)
    size = max(4.0, 0.55 * count + 2)
    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [plain(name) for name in class_names]
    axis.set_xticks(range(count), names, rotation=45, ha="right")
    axis.set_yticks(range(count), names)
    axis.set(xlabel="predicted", ylabel="true")
    for row, column in np.argwhere(matrix > 0) if count <= 30 else []:
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=8, color=colour)
    save(path, figure)
