"""The field report for people: sentences, tables and two pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline import inputs
from pipeline.field.observations import UNKNOWN, Observations
from pipeline.field.sentences import p_value
from pipeline.files.reports.field import FieldClass, FieldDrift, FieldRejection, FieldReport
from pipeline.process.words import percent
from pipeline.reporting import drawing, pictures
from pipeline.reporting.tables import table

FILE = "field.md"
SHOWN = 30  # pictures at most
CLASS_COLUMNS = ("class", "labels", "accuracy", "test accuracy", "adjusted p", "")
DRIFT_COLUMNS = ("property", "population stability", "adjusted p", "")
REJECTION_COLUMNS = ("day, UTC", "predictions", "none of the classes", "share")
DRIFT_NOTE = (
    "Kolmogorov-Smirnov tests on bins with equal shares of the test set, and Fisher's exact test "
    "for each predicted class. All p-values are adjusted together after Holm."
)
NO_PICTURES = (
    "## Worst cases\n\nThere is nothing to show: no labelled prediction is wrong, "
    "or the log was kept without `--log-images`."
)


def write(folder: Path, report: FieldReport, observed: Observations) -> None:
    """Writes field.json, field.md, drift.png and, if pictures were logged, worst.png."""
    report.save(folder / FieldReport.FILE)
    _draw_drift(folder / "drift.png", report.drift)
    rows, caption = worst(observed)
    shown = []
    kind = inputs.kind(observed.card.kind.name)
    if kind.PICTURED:
        logged = [(row, observed.picture(row)) for row in rows]
        shown = [(row, picture) for row, picture in logged if picture is not None]
    if shown:
        images = np.stack([picture for _, picture in shown])
        titles = [_title(observed, row) for row, _ in shown]
        kind.draw(pictures, inputs.Sheet(folder / "worst.png", titles, caption), images)
    (folder / FILE).write_text(_render(report, caption if shown else ""), encoding="utf-8")


def worst(observed: Observations) -> tuple[list[int], str]:
    """The predictions to look at first, and the caption of their picture.

    The wrong ones with the highest confidence; without labels, those with the lowest confidence.
    """
    labelled = observed.labels != UNKNOWN
    if labelled.any():
        wrong = np.flatnonzero(labelled & (observed.predicted != observed.labels))
        order = wrong[np.argsort(-observed.confidence[wrong], kind="stable")]
        caption = f"The worst of {len(wrong)} mistakes: true class as predicted class, confidence"
    else:
        order = np.argsort(observed.confidence, kind="stable")
        caption = "The predictions with the lowest confidence"
    return order[:SHOWN].tolist(), caption


def _title(observed: Observations, row: int) -> str:
    names = pictures.shown_names(observed.card.class_names)
    label, title = observed.labels[row], names[observed.predicted[row]]
    if label != UNKNOWN:
        title = f"{names[label]} as {title}"
    return f"{title}\n{observed.confidence[row]:.2f}"


def _draw_drift(path: Path, tests: list[FieldDrift]) -> None:
    """Draws, for each drift test, the shares of its bins: the field as bars, the test as a line."""
    columns = 4
    rows = -(-len(tests) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(tests) :]:
        axis.axis("off")
    for axis, test in zip(axes.flat, tests, strict=False):
        field = np.array(test.field) / max(sum(test.field), 1)
        before = np.array(test.test) / max(sum(test.test), 1)
        colour = "tab:red" if test.alarm else "tab:blue"
        axis.bar(range(len(field)), field, width=1.0, color=colour, label="field")
        edges = np.arange(len(before) + 1) - 0.5
        axis.step(edges, [*before, before[-1]], where="post", color="black", label="test")
        axis.set_title(f"{test.of}{': drifted' if test.alarm else ''}", fontsize=9)
        axis.set(xticks=[], ylim=(0, None))
    axes.flat[0].legend(fontsize=8)
    figure.suptitle("Shares of the bins, from low to high values")
    drawing.save(path, figure)


def _render(report: FieldReport, caption: str) -> str:
    """The page in Markdown."""
    model = f"{report.model} {report.version}"
    sections = [
        f"# {model} in the field: {report.format} on {report.runtime}",
        *report.sentences,
        "## Classes\n\n" + table(CLASS_COLUMNS, [_class_row(row) for row in report.classes]),
        f"## Drift\n\n{DRIFT_NOTE}\n\n"
        + table(DRIFT_COLUMNS, [_drift_row(test) for test in report.drift])
        + "\n\n![Drift](drift.png)",
        *_rejection(report.rejection),
        f"## Worst cases\n\n![{caption}](worst.png)\n\n*{caption}*" if caption else NO_PICTURES,
    ]
    return "\n\n".join(sections) + "\n"


def _rejection(rejection: FieldRejection | None) -> list[str]:
    """A section with the rejected predictions of each day, if the file rejects any."""
    if rejection is None or not rejection.days:
        return []
    rows = [
        (
            row.day,
            f"{row.predictions:,}",
            f"{row.rejected:,}",
            percent(row.rejected / row.predictions),
        )
        for row in rejection.days
    ]
    return ["## None of the classes\n\n" + table(REJECTION_COLUMNS, rows)]


def _class_row(row: FieldClass) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.labels:,}",
        percent(row.right / row.labels) if row.labels else "",
        percent(row.test_right / row.test_images) if row.test_images else "",
        "" if row.p_value is None else p_value(row.p_value),
        "worse" if row.suffers else "",
    )


def _drift_row(test: FieldDrift) -> tuple[str, ...]:
    return (
        test.of,
        f"{test.population_stability:.3f}",
        p_value(test.p_value),
        "drifted" if test.alarm else "",
    )
