"""The table of every file on every runtime and processor, for reports/index.html."""

from __future__ import annotations

from pipeline.config.processors import EMULATED
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.verify import AnyPair, RanPair
from pipeline.reporting import result_notes, result_row, summary
from pipeline.reporting.result_row import ResultRow
from pipeline.reporting.tables import MILLISECONDS


def pair_rows(reports: BundleReports) -> list[dict[str, str]]:
    """Every file on every runtime and processor.

    The few images of an emulated one have no accuracy of their own: it takes the verdict from here.
    """
    metric = result_notes.metric(reports.verify)
    return [
        {
            "file": pair.format,
            "runtime": " ".join([pair.runtime, pair.runtime_version or ""]).strip(),
            "processor": _processor(pair),
            "verdict": pair.state,
            "inputs": _cell(pair, "images", "{:,}"),
            **_scores(pair, metric, is_number=bool(reports.verify.numbers)),
            "largest difference": _cell(pair, "largest_difference", "{:.2g}"),
            "of golden vectors": _cell(pair, "golden_difference", "{:.2g}"),
            **_confidence(pair, is_number=bool(reports.verify.numbers)),
            MILLISECONDS: _cell(pair, "median_milliseconds", "{:.3f}"),
            "arena": _cell(pair, "arena_bytes", "{:,}"),
        }
        for pair in reports.verify.pairs
    ]


def _figures(pair: AnyPair) -> ResultRow:
    empty = ResultRow(pair.format)
    return summary.worst_of(pair.format, [pair]) if isinstance(pair, RanPair) else empty


def _scores(pair: AnyPair, metric: str, *, is_number: bool) -> dict[str, str]:
    row = _figures(pair)
    judged = row if pair.is_native else ResultRow(pair.format)
    score, bound = result_row.score(judged), result_row.bound(judged)
    if is_number:
        return {"error": score, "adds at most": bound}
    agreement = result_row.agreement(row)
    return {f"test {metric}": score, "loses at most": bound, "agreement": agreement}


def _confidence(pair: AnyPair, *, is_number: bool) -> dict[str, str]:
    row = _figures(pair)
    if is_number:
        return {"interval": result_row.width(row), "holds": result_row.held(row)}
    return {title: cell(row) for title, cell in result_row.CONFIDENCE_COLUMNS.items()}


def _processor(pair: AnyPair) -> str:
    name = pair.processor
    return name if pair.is_native else f"{name}, emulated: {EMULATED[name].description}"


def _cell(pair: AnyPair, name: str, form: str) -> str:
    """The figure of this name, as `form` says; empty if the pair has none."""
    value = getattr(pair, name, None)
    return "" if value is None else form.format(value)
