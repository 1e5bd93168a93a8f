"""A row of the table of results as figures, and the text of its cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline.process.words import percent
from pipeline.reporting.tables import amount, amounts, interval
from serving.metric import ACCURACY, METRICS

DEFAULT_METRIC = METRICS[ACCURACY].words
SCORE = f"test {DEFAULT_METRIC}"  # the title, unless another metric judges the model

Figure = TypeVar("Figure", int, float)


@dataclass(frozen=True)
class ResultRow:
    """The baseline, the Keras model or a file. A figure that it lacks is None.

    `score` is the fraction that `metric` names or, in a `unit`, a mean absolute error; at most
    `bound` of it is lost, or added. `milliseconds` are the medians of all runtimes.
    """

    model: str
    score: float | None = None
    interval: tuple[float, float] | None = None  # 95 %
    metric: str = DEFAULT_METRIC
    unit: str | None = None
    bound: float | None = None
    agreement: float | None = None
    calibration_error: float | None = None
    answered: float | None = None
    wrong: float | None = None
    half_width: float | None = None  # of the interval of a number
    held: float | None = None
    bytes: int | None = None
    milliseconds: Sequence[float] = ()
    runtimes: str = ""
    emulated: str = ""
    verdict: str = ""


Columns = dict[str, Callable[[ResultRow], str]]  # titles, and the text of a row below each


def cells(columns: Columns, rows: Sequence[ResultRow]) -> list[dict[str, str]]:
    return [{title: cell(row) for title, cell in columns.items()} for row in rows]


def headed(columns: Columns, rows: Sequence[ResultRow]) -> Columns:
    """The columns with the title of the metric that the model is judged by."""
    metrics = {row.metric for row in rows}
    metric = next(iter(metrics - {DEFAULT_METRIC}), DEFAULT_METRIC)

    def judged(row: ResultRow) -> str:
        return columns[SCORE](row) if row.metric == metric else ""

    return {
        f"test {metric}" if title == SCORE else title: judged if title == SCORE else cell
        for title, cell in columns.items()
    }


def text(figure: Figure | None, form: Callable[[Figure], str]) -> str:
    return "" if figure is None else form(figure)


def score(row: ResultRow) -> str:
    unit = row.unit
    return text(row.score, percent if unit is None else lambda error: amount(error, unit))


def ends(row: ResultRow) -> str:
    """The 95 % interval of the score."""
    if row.interval is None:
        return ""
    return interval(row.interval) if row.unit is None else amounts(row.interval, row.unit)


def bound(row: ResultRow) -> str:
    return text(row.bound, percent if row.unit is None else f"{{:.3g}} {row.unit}".format)


def width(row: ResultRow) -> str:
    return text(row.half_width, f"± {{:.4g}} {row.unit}".format)


def held(row: ResultRow) -> str:
    return text(row.held, percent)


def agreement(row: ResultRow) -> str:
    return text(row.agreement, percent)


def size(row: ResultRow) -> str:
    return text(row.bytes, lambda count: f"{count / 1000:,.0f} kB")


def fastest(row: ResultRow) -> str:
    return text(min(row.milliseconds, default=None), "{:.3f}".format)


# What the table says of the confidences of a file
CONFIDENCE_COLUMNS: Columns = {
    "calibration error": lambda row: text(row.calibration_error, "{:.4f}".format),
    "answered": lambda row: text(row.answered, percent),
    "of these wrong": lambda row: text(row.wrong, percent),
}
CONFIDENCE_NOTE = (
    '"Calibration error" is the expected calibration error. "Answered" is the share of test images '
    'whose answer is not "none of these", and "of these wrong" counts wrong answers among them.'
)
