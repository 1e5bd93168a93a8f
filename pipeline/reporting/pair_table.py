"""The table of every file on every runtime and processor, for reports/index.html."""

from __future__ import annotations

from pipeline.config.processors import EMULATED
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.verify import AnyPair, ComparedPair, NumberPair
from pipeline.process.words import percent
from pipeline.reporting import confidence_cells, summary
from pipeline.reporting.tables import MILLISECONDS


def pair_rows(reports: BundleReports) -> list[dict[str, str]]:
    """Every file on every runtime and processor.

    The few images of an emulated one have no accuracy of their own: it takes the verdict from here.
    """
    metric = next((pair.score[0] for pair in reports.verify.native), "accuracy")
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


def _scores(pair: AnyPair, metric: str, *, is_number: bool) -> dict[str, str]:
    if is_number:
        cells = summary.scores([pair]) if isinstance(pair, NumberPair) and pair.is_native else {}
        return {name: cells.get(name, "") for name in ("error", "adds at most")}
    value = pair.score[1] if isinstance(pair, ComparedPair) and pair.is_native else None
    return {
        f"test {metric}": "" if value is None else percent(value),
        "loses at most": _share(pair, "bound") if pair.is_native else "",
        "agreement": _share(pair, "agreement"),
    }


def _confidence(pair: AnyPair, *, is_number: bool) -> dict[str, str]:
    if is_number:
        cells = summary.held([pair]) if isinstance(pair, NumberPair) else {}
        return {name: cells.get(name, "") for name in ("interval", "holds")}
    empty = dict.fromkeys(confidence_cells.COLUMNS, "")
    return empty | (confidence_cells.cells([pair]) if isinstance(pair, ComparedPair) else {})


def _processor(pair: AnyPair) -> str:
    name = pair.processor
    return name if pair.is_native else f"{name}, emulated: {EMULATED[name].description}"


def _cell(pair: AnyPair, name: str, form: str) -> str:
    """The figure of this name, as `form` says; empty if the pair has none."""
    value = getattr(pair, name, None)
    return "" if value is None else form.format(value)


def _share(pair: AnyPair, name: str) -> str:
    value = getattr(pair, name, None)
    return "" if value is None else percent(value)
