"""The field report for people: sentences, tables and two pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline import inputs, targets
from pipeline.field.number_sentences import p_value
from pipeline.field.observations import Observations
from pipeline.files.reports.field import (
    FieldClass,
    FieldDrift,
    FieldLabel,
    FieldRejection,
    FieldReport,
    InUse,
)
from pipeline.process.words import percent
from pipeline.reporting import drawing, pictures
from pipeline.reporting.figures import Figure
from pipeline.reporting.tables import interval, table

FILE = "field.md"
SHOWN = 30  # pictures at most
CLASS_COLUMNS = ("class", "labels", "accuracy", "test accuracy", "adjusted p", "")
LABEL_COLUMNS = (
    "label",
    "true",
    "precision (95 %)",
    "recall (95 %)",
    "F1 (95 %)",
    "test F1",
    "adjusted p",
    "",
)
LABELS_NOTE = (
    "Fisher's exact test of F1 for each label: hits against misses and false alarms, Holm-adjusted."
)
DRIFT_COLUMNS = ("property", "population stability", "adjusted p", "")
REJECTION_COLUMNS = ("day, UTC", "predictions", "none of the classes", "share")
DRIFT_NOTE = (
    "Kolmogorov-Smirnov tests on bins with equal shares of the test set{}. All p-values are "
    "adjusted together after Holm."
)
OF_ANSWERS = ", and Fisher's exact test for each predicted {}"
NO_PICTURES = (
    "## Worst cases\n\nThere is nothing to show: the log was kept without `--log-images`{}."
)
NONE_WRONG = ", or no labelled prediction is wrong"


def write(folder: Path, report: InUse, observed: Observations) -> None:
    """Writes field.json, field.md, drift.png and worst.png, of known drift and logged pictures."""
    report.save(folder / InUse.FILE)
    if report.drift:
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
    """The predictions to show, and the caption of their picture.

    The wrong ones with the highest confidence, or the numbers with the largest errors; without
    labels those with the lowest confidence, and the first numbers.
    """
    labelled, is_number = observed.labelled, observed.card.number is not None
    if not labelled.any():
        order = np.argsort(observed.confidence, kind="stable")
        caption = "The predictions with the lowest confidence"
        return order[:SHOWN].tolist(), "Some predictions" if is_number else caption
    rows = np.flatnonzero(labelled)
    answers, true = observed.predicted[rows], observed.labels[rows]
    if is_number:
        order = rows[np.argsort(-np.abs(answers - true), kind="stable")]
        return order[:SHOWN].tolist(), "The largest errors: true as predicted"
    wrong = rows[~targets.recognition(observed.card.target).right(answers, true)]
    order = wrong[np.argsort(-observed.confidence[wrong], kind="stable")]
    caption = f"The worst of {len(wrong)} mistakes: true as predicted, and the confidence"
    return order[:SHOWN].tolist(), caption


def _title(observed: Observations, row: int) -> str:
    names = pictures.shown_names(observed.card.class_names)
    words = targets.target(observed.card.target).words
    title = words(observed.predicted[row], names)
    if observed.labelled[row]:
        title = f"{words(observed.labels[row], names)} as {title}"
    return title if observed.card.number else f"{title}\n{observed.confidence[row]:.2f}"


def _draw_drift(path: Path, tests: list[FieldDrift]) -> None:
    """Draws, for each drift test, the shares of its bins: the field as bars, the test as a line."""
    columns = 4
    rows = -(-len(tests) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(tests) :]:
        axis.axis("off")
    for axis, test in zip(axes.flat, tests, strict=False):
        field, before = test.shares
        colour = "tab:red" if test.alarm else "tab:blue"
        axis.bar(range(len(field)), field, width=1.0, color=colour, label="field")
        edges = np.arange(len(before) + 1) - 0.5
        axis.step(edges, [*before, before[-1]], where="post", color="black", label="test")
        axis.set_title(f"{test.of}{': drifted' if test.alarm else ''}", fontsize=9)
        axis.set(xticks=[], ylim=(0, None))
    axes.flat[0].legend(fontsize=8)
    figure.suptitle("Shares of the bins, from low to high values")
    drawing.save(path, figure)


def _render(report: InUse, caption: str) -> str:
    """The page in Markdown."""
    model = f"{report.model} {report.version}"
    nothing = NO_PICTURES.format(NONE_WRONG if isinstance(report, FieldReport) else "")
    sections = [
        f"# {model} in the field: {report.format} on {report.runtime}",
        *report.sentences,
        *(_parts(report) if isinstance(report, FieldReport) else []),
        *(_drift(report) if report.drift else []),
        *(_rejection(report.rejection) if isinstance(report, FieldReport) else []),
        f"## Worst cases\n\n![{caption}](worst.png)\n\n*{caption}*" if caption else nothing,
    ]
    return "\n\n".join(sections) + "\n"


def _drift(report: InUse) -> list[str]:
    rows = [_drift_row(test) for test in report.drift]
    shown = f"{table(DRIFT_COLUMNS, rows)}\n\n![Drift](drift.png)"
    return [f"## Drift\n\n{_drift_note(report)}\n\n{shown}"]


def _drift_note(report: InUse) -> str:
    if not isinstance(report, FieldReport):
        return DRIFT_NOTE.format("")
    return DRIFT_NOTE.format(OF_ANSWERS.format("label" if report.per_label else "class"))


def _parts(report: FieldReport) -> list[str]:
    """A section with each class, or each of several labels."""
    if report.per_label:
        rows = [_label_row(row) for row in report.per_label]
        return [f"## Labels\n\n{LABELS_NOTE}\n\n" + table(LABEL_COLUMNS, rows)]
    return ["## Classes\n\n" + table(CLASS_COLUMNS, [_class_row(row) for row in report.classes])]


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


def _label_row(row: FieldLabel) -> tuple[str, ...]:
    def share(value: float | None, ends: tuple[float, float] | None) -> str:
        return "" if value is None or ends is None else f"{percent(value)} ({interval(ends)})"

    field, test = row.field, row.test
    return (
        row.label,
        f"{field.images:,}",
        share(field.precision, field.precision_interval),
        share(field.recall, field.recall_interval),
        share(field.f1, field.f1_interval),
        "" if test.f1 is None else percent(test.f1),
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
