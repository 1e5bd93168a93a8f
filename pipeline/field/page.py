"""The field report for people: what was found in sentences, tables and two pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.field.observations import UNKNOWN, Observations
from pipeline.field.sentences import p_value
from pipeline.files import artifacts
from pipeline.reporting import drawing, pictures
from pipeline.reporting.tables import percent, table

FILE = "field.md"
SHOWN = 30


def write(folder: Path, facts: dict[str, Any], observed: Observations) -> None:
    """field.json, field.md, drift.png, and worst.png where there are pixels."""
    artifacts.save_json(folder / "field.json", facts)
    _draw_drift(folder / "drift.png", facts["drift"])
    rows, caption = worst(observed)
    shown = [
        (row, picture)
        for row in rows
        if (picture := observed.picture(row)) is not None and observed.card.input.type == "uint8"
    ]
    if shown:
        pictures.images(
            folder / "worst.png",
            np.stack([picture for _, picture in shown]),
            [_title(observed, row) for row, _ in shown],
            title=caption,
        )
    (folder / FILE).write_text(_render(facts, caption if shown else ""), encoding="utf-8")


def worst(observed: Observations) -> tuple[list[int], str]:
    """The predictions to look at first: the surest of the wrong ones; where no label tells, the least sure ones."""
    known = observed.labels != UNKNOWN
    wrong = np.flatnonzero(known & (observed.predicted != observed.labels))
    if known.any():
        order = wrong[np.argsort(-observed.confidence[wrong], kind="stable")]
        return order[
            :SHOWN
        ].tolist(), f"The worst of {len(wrong)} mistakes: true as predicted, and how sure"
    return np.argsort(observed.confidence, kind="stable")[
        :SHOWN
    ].tolist(), "The least sure predictions, and how sure"


def _title(observed: Observations, row: int) -> str:
    names = pictures.shown_names(observed.card.class_names)
    label, predicted = observed.labels[row], names[observed.predicted[row]]
    return f"{predicted if label == UNKNOWN else f'{names[label]} as {predicted}'}\n{observed.confidence[row]:.2f}"


def _draw_drift(path: Path, tests: list[dict[str, Any]]) -> None:
    """For each respect the shares of its bins in the field as bars, and those of the test as a line."""
    columns = 4
    rows = -(-len(tests) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(tests) :]:
        axis.axis("off")
    for axis, test in zip(axes.flat, tests, strict=False):
        field, before = (
            np.array(test[name]) / max(sum(test[name]), 1) for name in ("field", "test")
        )
        axis.bar(
            range(len(field)),
            field,
            width=1.0,
            color="tab:red" if test["alarm"] else "tab:blue",
            label="field",
        )
        axis.step(
            np.arange(len(before) + 1) - 0.5,
            [*before, before[-1]],
            where="post",
            color="black",
            label="test",
        )
        axis.set_title(f"{test['of']}{': drifted' if test['alarm'] else ''}", fontsize=9)
        axis.set(xticks=[], ylim=(0, None))
    axes.flat[0].legend(fontsize=8)
    figure.suptitle("Shares of the test's bins, from low to high")
    drawing.save(path, figure)


def _render(facts: dict[str, Any], caption: str) -> str:
    """The page in Markdown."""
    heading = f"# {facts['model']} {facts['version']} in the field: {facts['format']} on {facts['runtime']}"
    classes = [
        (
            one["class"],
            f"{one['labels']:,}",
            percent(one["right"] / one["labels"]) if one["labels"] else "",
            percent(one["test_right"] / one["test_images"]) if one["test_images"] else "",
            "" if one["p_value"] is None else p_value(one["p_value"]),
            "suffers" if one["suffers"] else "",
        )
        for one in facts["classes"]
    ]
    drift = [
        (
            test["of"],
            f"{test['population_stability']:.3f}",
            p_value(test["p_value"]),
            "drifted" if test["alarm"] else "",
        )
        for test in facts["drift"]
    ]
    sections = [heading, *facts["sentences"]]
    sections += [
        "## Classes\n\n"
        + table(("class", "labels", "right", "in the test", "p, adjusted", ""), classes)
    ]
    note = (
        "Kolmogorov and Smirnov's test on bins of equal share of the test set, Fisher's exact test of each predicted class; "
        "p-values adjusted together after Holm."
    )
    sections += [
        f"## Drift\n\n{note}\n\n"
        + table(("of", "population stability", "p, adjusted", ""), drift)
        + "\n\n![Drift](drift.png)"
    ]
    sections += [
        f"## Worst cases\n\n![{caption}](worst.png)\n\n*{caption}*" if caption else NO_PICTURES
    ]
    return "\n\n".join(sections) + "\n"


NO_PICTURES = "## Worst cases\n\nNone can be shown: there is no mistake among the labels, or the log was kept without `--log-images`."
