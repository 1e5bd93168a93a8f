"""The table of results, made from the reports: a row for the baseline, for Keras and for each file.

If the pipeline stopped early, the reports of later stages are left over from an earlier run. DVC
knows which ones, and none of their figures is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.box import MARKDOWN, Box
from rich.console import Console
from rich.table import Table

from pipeline.files import artifacts
from pipeline.files.reports.baseline import BaselineReport, ErrorScore
from pipeline.files.reports.diagnose import NOT_TRAINED, DiagnosisReport
from pipeline.files.reports.evaluate import (
    Evaluation,
    EvaluationReport,
    MetricScore,
    NumberReport,
)
from pipeline.files.reports.verify import (
    AnyPair,
    ComparedPair,
    FailedPair,
    NumberPair,
    RanPair,
    VerificationReport,
)
from pipeline.process import dvc_command
from pipeline.process.errors import UserError
from pipeline.process.words import percent
from pipeline.reporting import confidence_cells
from pipeline.reporting.tables import BASELINES, MILLISECONDS, amount, amounts, interval
from serving.gate import VERDICTS

ACCURACY = "test accuracy"
COLUMNS = (
    "model",
    "runtimes",
    ACCURACY,
    "95 % interval",
    "loses at most",
    "agreement",
    *confidence_cells.COLUMNS,
    "bytes",
    MILLISECONDS,
    "emulated",
    "verdict",
)
# Of a model that gives a number, in place of those that speak of accuracy.
NUMBER_COLUMNS = (
    *("model", "runtimes", "error", "95 % interval", "adds at most", "interval", "holds"),
    *("bytes", MILLISECONDS, "emulated", "verdict"),
)
TEXT_COLUMNS = {"model", "runtimes", MILLISECONDS, "emulated", "verdict", "file"}
REPORTS = ("baseline", "evaluate", "verify", "diagnose")
KERAS = "Keras"
LONGEST_WORD = 16  # characters that a column keeps together, such as the name of a file
UNREAD = "none of verify.runtimes reads it"

Row = dict[str, str]  # a cell for each column; a column without one is empty


def outdated() -> list[str]:
    """The REPORTS that are missing or left over from an earlier run. Raises UserError."""
    # Importing DVC takes half a second, which other users of this module should not pay.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return [name for name in REPORTS if repo.status([name], with_deps=True)]
    except DvcException as error:
        dvc_command.refuse_beside_another(error)
        raise UserError(
            f"no table, because DVC cannot say which run the reports belong to: {error}"
        ) from None


def rows(left_out: Sequence[str] = ()) -> list[Row]:
    """The rows of the full table, without those of the reports that are left out."""
    result = []
    evaluation = None if "evaluate" in left_out else Evaluation.load()
    if "baseline" not in left_out:
        metric = evaluation.metric if isinstance(evaluation, EvaluationReport) else None
        result.append(baseline_row(BaselineReport.load(), metric))
    if evaluation:
        result.append(keras_row(evaluation, artifacts.MODEL.stat().st_size))
    if "verify" not in left_out:
        files = by_format(VerificationReport.load())
        result += [file_row(name, pairs) for name, pairs in files.items()]
    return result


def columns(lines: Sequence[Row]) -> tuple[str, ...]:
    """Those of a table of these rows."""
    if any("error" in line for line in lines):
        return NUMBER_COLUMNS
    name = headline(lines)
    return tuple(name if column == ACCURACY else column for column in COLUMNS)


def headline(lines: Sequence[Row]) -> str:
    """The column of the metric that the model is judged by."""
    names = {name for line in lines for name in line if name.startswith("test ")}
    return next(iter(names - {ACCURACY}), ACCURACY)


def baseline_row(baseline: BaselineReport, metric: MetricScore | None = None) -> Row:
    """`metric` is that of the evaluation, if it is not accuracy."""
    best = baseline.test_score
    name = f"baseline: {BASELINES[baseline.best]}"
    if isinstance(best, ErrorScore):
        return {"model": name, **errors(best.error, best.interval, best.unit)}
    if metric:
        return {"model": name, f"test {metric.words}": percent(metric.baseline)}
    return {
        "model": name,
        ACCURACY: percent(best.accuracy),
        "95 % interval": interval(best.interval),
    }


def errors(error: float, bounds: Sequence[float], unit: str) -> Row:
    """The cells of a mean absolute error."""
    return {"error": amount(error, unit), "95 % interval": amounts(bounds, unit)}


def keras_row(evaluation: Evaluation, model_bytes: int) -> Row:
    verdict = "passed" if evaluation.judged.passed else "failed"
    if isinstance(evaluation, NumberReport):
        score = errors(evaluation.test_error, evaluation.test_error_interval, evaluation.unit)
        return {"model": KERAS, **score, "bytes": f"{model_bytes:,}", "verdict": verdict}
    assert isinstance(evaluation, EvaluationReport)
    return {
        "model": KERAS,
        f"test {evaluation.score.words}": percent(evaluation.score.value),
        "95 % interval": interval(evaluation.score.interval),
        confidence_cells.CALIBRATION_ERROR: f"{evaluation.test_calibration_error:.4f}",
        "bytes": f"{model_bytes:,}",
        "verdict": verdict,
    }


def by_format(verification: VerificationReport) -> dict[str, list[AnyPair]]:
    result: dict[str, list[AnyPair]] = {}
    for pair in verification.pairs:
        result.setdefault(pair.format, []).append(pair)
    return result


def file_row(name: str, pairs: Sequence[AnyPair]) -> Row:
    """One file: the worst of all runtimes and processors that ran it."""
    ran = [pair for pair in pairs if isinstance(pair, RanPair)]
    failed = [pair for pair in pairs if isinstance(pair, FailedPair)]
    here = [pair for pair in ran if pair.is_native]
    facts = {"model": name, "bytes": f"{pairs[0].bytes:,}"}
    if not here:
        reason = failed[0].reason if failed else UNREAD
        return {**facts, "verdict": f"could not run: {reason}"}
    # A slow interpreter sees fewer images, so its figures cannot be compared with the others'.
    most_images = max(pair.images for pair in here)
    on_all = [pair for pair in here if pair.images == most_images]
    elsewhere = dict.fromkeys(pair.processor for pair in ran if not pair.is_native)
    worst = max((pair.state for pair in ran), key=VERDICTS.index)
    missing = [f"could not run on {place(pair)}" for pair in failed]
    return {
        **facts,
        "runtimes": ", ".join(pair.runtime for pair in here),
        **scores(on_all),
        MILLISECONDS: milliseconds(here),
        "emulated": ", ".join(elsewhere),
        "verdict": "; ".join([worst, *missing]),
    }


def scores(pairs: Sequence[RanPair]) -> Row:
    """The cells of the worst of pairs that saw the same images."""
    if numbers := [pair for pair in pairs if isinstance(pair, NumberPair)]:
        worst = max(numbers, key=lambda pair: pair.error)
        return {
            **errors(worst.error, worst.error_interval, worst.unit),
            "adds at most": f"{max(pair.bound for pair in numbers):.3g} {worst.unit}",
            **held(numbers),
        }
    compared = [pair for pair in pairs if isinstance(pair, ComparedPair)]
    words, value, ends = min((pair.score for pair in compared), key=lambda score: score[1])
    return {
        f"test {words}": percent(value),
        "95 % interval": interval(ends),
        "loses at most": percent(max(pair.bound for pair in compared)),
        "agreement": percent(min(pair.agreement for pair in compared)),
        **confidence_cells.cells(compared),
    }


def held(pairs: Sequence[NumberPair]) -> Row:
    """The cells of the interval, and of the true numbers that it holds; none without one."""
    intervals = [pair.coverage for pair in pairs if pair.coverage]
    if not intervals:
        return {}
    width = max(held.half_width for held in intervals)
    return {
        "interval": f"± {amount(width, pairs[0].unit)}",
        "holds": percent(min(held.share for held in intervals)),
    }


def milliseconds(pairs: Sequence[RanPair]) -> str:
    """The medians of the fastest and of the slowest pair."""
    medians = (pair.median_milliseconds for pair in pairs)
    times = [time for time in medians if time is not None]
    ends = [min(times), max(times)] if times else []
    return " to ".join(dict.fromkeys(f"{time:.3f}" for time in ends))


def place(pair: AnyPair) -> str:
    return pair.runtime if pair.is_native else f"{pair.processor} ({pair.runtime})"


def table(
    columns: Sequence[str], lines: Sequence[Row], box: Box = MARKDOWN, width: int = 400
) -> str:
    """A table of at most `width` characters; it wraps what does not fit, between words."""
    result = Table(box=box)
    for column in columns:
        justify: Literal["left", "right"] = "left" if column in TEXT_COLUMNS else "right"
        cells = [column, *(line.get(column, "") for line in lines)]
        longest = max(len(word) for cell in cells for word in cell.split())
        narrowest = min(longest, LONGEST_WORD)
        result.add_column(column, justify=justify, overflow="fold", min_width=narrowest)
    for line in lines:
        result.add_row(*(line.get(column, "") for column in columns))
    # rich keeps the least width of each column, and is then wider than it was asked to be
    rendered = (_rendered(result, asked) for asked in range(width, width // 2, -1))
    fitting = (text for text in rendered if max(map(len, text)) <= width)
    return "\n".join(next(fitting, _rendered(result, width)))


def _rendered(result: Table, width: int) -> list[str]:
    """The lines of a table, which are longer than `width` if it cannot be narrower."""
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(result, crop=False)
    return [line.strip() for line in capture.get().splitlines() if line.strip()]


def kilobytes(size: int) -> str:
    return f"{size / 1000:,.0f} kB"


def curves() -> str:
    diagnosis = DiagnosisReport.load()
    if diagnosis.verdict == NOT_TRAINED:
        return f"{diagnosis.sentence[:1].upper()}{diagnosis.sentence[1:]}."
    return f"Learning curves: {diagnosis.sentence}."
