"""The table of results, made from the reports: a row for the baseline, for Keras and for each file.

If the pipeline stopped early, the reports of later stages are left over from an earlier run. DVC
knows which ones, and none of their figures is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
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
from pipeline.reporting import result_row
from pipeline.reporting.result_row import SCORE, Columns, ResultRow, headed, text
from pipeline.reporting.tables import BASELINES, MILLISECONDS
from serving.gate import VERDICTS

FIRST: Columns = {"model": lambda row: row.model, "runtimes": lambda row: row.runtimes}
LAST: Columns = {
    "bytes": lambda row: text(row.bytes, "{:,}".format),
    MILLISECONDS: lambda row: milliseconds(row.milliseconds),
    "emulated": lambda row: row.emulated,
    "verdict": lambda row: row.verdict,
}
COLUMNS: Columns = {
    **FIRST,
    SCORE: result_row.score,
    "95 % interval": result_row.ends,
    "loses at most": result_row.bound,
    "agreement": result_row.agreement,
    **result_row.CONFIDENCE_COLUMNS,
    **LAST,
}
NUMBER_COLUMNS: Columns = {
    **FIRST,
    "error": result_row.score,
    "95 % interval": result_row.ends,
    "adds at most": result_row.bound,
    "interval": result_row.width,
    "holds": result_row.held,
    **LAST,
}
TEXT_COLUMNS = {"model", "runtimes", MILLISECONDS, "emulated", "verdict", "file"}
REPORTS = ("baseline", "evaluate", "verify", "diagnose")
KERAS = "Keras"
LONGEST_WORD = 16  # characters that a column keeps together, such as the name of a file
UNREAD = "none of verify.runtimes reads it"


def outdated() -> list[str]:
    """The REPORTS that are missing or left over from an earlier run. Raises UserError."""
    # Importing DVC takes half a second, which other users of this module should not pay.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return [name for name in REPORTS if repo.status([name], with_deps=True)]
    except DvcException as error:
        dvc_command.refuse(error)
        raise UserError(
            f"no table, because DVC cannot say which run the reports belong to: {error}"
        ) from None


def rows(left_out: Sequence[str] = ()) -> list[ResultRow]:
    """The rows of the table, without those of the reports that are left out."""
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


def columns(lines: Sequence[ResultRow]) -> Columns:
    """Those of the full table of these rows."""
    return NUMBER_COLUMNS if are_numbers(lines) else headed(COLUMNS, lines)


def are_numbers(lines: Sequence[ResultRow]) -> bool:
    return any(line.unit is not None for line in lines)


def baseline_row(baseline: BaselineReport, metric: MetricScore | None) -> ResultRow:
    """`metric` is that of the evaluation, if it is not accuracy."""
    best = baseline.test_score
    name = f"baseline: {BASELINES[baseline.best]}"
    if isinstance(best, ErrorScore):
        return ResultRow(name, best.error, best.interval, unit=best.unit)
    if metric:
        return ResultRow(name, metric.baseline, metric=metric.words)
    return ResultRow(name, best.accuracy, best.interval)


def keras_row(evaluation: Evaluation, model_bytes: int) -> ResultRow:
    keras = ResultRow(
        KERAS, bytes=model_bytes, verdict="passed" if evaluation.judged.passed else "failed"
    )
    if isinstance(evaluation, NumberReport):
        error, ends = evaluation.test_error, evaluation.test_error_interval
        return replace(keras, score=error, interval=ends, unit=evaluation.unit)
    assert isinstance(evaluation, EvaluationReport)
    return replace(
        keras,
        score=evaluation.score.value,
        interval=evaluation.score.interval,
        metric=evaluation.score.words,
        calibration_error=evaluation.test_calibration_error,
    )


def by_format(verification: VerificationReport) -> dict[str, list[AnyPair]]:
    result: dict[str, list[AnyPair]] = {}
    for pair in verification.pairs:
        result.setdefault(pair.format, []).append(pair)
    return result


def file_row(name: str, pairs: Sequence[AnyPair]) -> ResultRow:
    """One file: the worst of all runtimes and processors that ran it."""
    ran = [pair for pair in pairs if isinstance(pair, RanPair)]
    failed = [pair for pair in pairs if isinstance(pair, FailedPair)]
    here = [pair for pair in ran if pair.is_native]
    if not here:
        reason = failed[0].reason if failed else UNREAD
        return ResultRow(name, bytes=pairs[0].bytes, verdict=f"could not run: {reason}")
    # A slow interpreter sees fewer images, so its figures cannot be compared with the others'.
    most_images = max(pair.images for pair in here)
    on_all = [pair for pair in here if pair.images == most_images]
    elsewhere = dict.fromkeys(pair.processor for pair in ran if not pair.is_native)
    worst = max((pair.state for pair in ran), key=VERDICTS.index)
    missing = [f"could not run on {place(pair)}" for pair in failed]
    return replace(
        worst_of(name, on_all),
        bytes=pairs[0].bytes,
        milliseconds=medians(here),
        runtimes=", ".join(pair.runtime for pair in here),
        emulated=", ".join(elsewhere),
        verdict="; ".join([worst, *missing]),
    )


def worst_of(name: str, pairs: Sequence[RanPair]) -> ResultRow:
    """The figures of pairs that saw the same images."""
    if numbers := [pair for pair in pairs if isinstance(pair, NumberPair)]:
        intervals = [pair.coverage for pair in numbers if pair.coverage]
        worst = max(numbers, key=lambda pair: pair.error)
        return ResultRow(
            name,
            worst.error,
            worst.error_interval,
            unit=worst.unit,
            bound=max(pair.bound for pair in numbers),
            half_width=max((part.half_width for part in intervals), default=None),
            held=min((part.share for part in intervals), default=None),
        )
    compared = [pair for pair in pairs if isinstance(pair, ComparedPair)]
    errors = [pair.calibration_error for pair in compared if pair.calibration_error is not None]
    rejections = [pair.rejection for pair in compared if pair.rejection]
    words, value, ends = min((pair.score for pair in compared), key=lambda score: score[1])
    return ResultRow(
        name,
        value,
        ends,
        words,
        bound=max(pair.bound for pair in compared),
        agreement=min(pair.agreement for pair in compared),
        calibration_error=max(errors, default=None),
        answered=min((part.coverage for part in rejections), default=None),
        wrong=max((part.error for part in rejections), default=None),
    )


def medians(pairs: Sequence[RanPair]) -> list[float]:
    """The median time of each pair that was timed, in milliseconds."""
    times = (pair.median_milliseconds for pair in pairs)
    return [time for time in times if time is not None]


def milliseconds(times: Sequence[float]) -> str:
    """The fastest and the slowest."""
    ends = [min(times), max(times)] if times else []
    return " to ".join(dict.fromkeys(f"{time:.3f}" for time in ends))


def place(pair: AnyPair) -> str:
    return pair.runtime if pair.is_native else f"{pair.processor} ({pair.runtime})"


def table(
    columns: Collection[str],
    lines: Sequence[Mapping[str, str]],
    box: Box = MARKDOWN,
    width: int = 400,
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
    rendered = (_rendered(result, limit) for limit in range(width, width // 2, -1))
    fitting = (text for text in rendered if max(map(len, text)) <= width)
    return "\n".join(next(fitting, _rendered(result, width)))


def _rendered(result: Table, width: int) -> list[str]:
    """The lines of a table, which are longer than `width` if it cannot be narrower."""
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(result, crop=False)
    return [line.strip() for line in capture.get().splitlines() if line.strip()]


def curves() -> str:
    diagnosis = DiagnosisReport.load()
    if diagnosis.verdict == NOT_TRAINED:
        return f"{diagnosis.sentence[:1].upper()}{diagnosis.sentence[1:]}."
    return f"Learning curves: {diagnosis.sentence}."
