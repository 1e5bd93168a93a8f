"""The exported files on reports/index.html: the verdict on each, and where it is not proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.export import AnyFormat, FailedConversion
from pipeline.files.reports.verify import AnyPair, RanPair
from pipeline.reporting import summary
from serving.gate import COULD_NOT_RUN, PROVEN, VERDICTS


@dataclass(frozen=True)
class FileVerdict:
    """The worst verdict on a file, and a remark on each place where it is not proven."""

    file: str
    verdict: str
    remarks: list[str]


def file_verdicts(reports: BundleReports) -> list[FileVerdict]:
    pairs = summary.by_format(reports.verify)
    return [
        _file_verdict(name, entry, pairs.get(name, []))
        for name, entry in reports.export.formats.items()
    ]


def _file_verdict(name: str, entry: AnyFormat, pairs: Sequence[AnyPair]) -> FileVerdict:
    if isinstance(entry, FailedConversion):
        return FileVerdict(name, COULD_NOT_RUN, [f"could not be converted: {entry.error}"])
    ran = [pair for pair in pairs if isinstance(pair, RanPair)]
    if not any(pair.is_native for pair in ran):
        return FileVerdict(name, COULD_NOT_RUN, _remarks(pairs) or [summary.UNREAD])
    worst = max((pair.state for pair in ran), key=VERDICTS.index)
    return FileVerdict(name, worst, _remarks(pairs))


def _remarks(pairs: Sequence[AnyPair]) -> list[str]:
    """Why pairs are not proven: the places that share a verdict and its reason share a remark."""
    places: dict[tuple[str, str | None], list[str]] = {}
    for pair in pairs:
        if pair.state != PROVEN:
            places.setdefault((pair.state, pair.reason), []).append(summary.place(pair))
    return [f"{state} on {', '.join(names)}: {why}" for (state, why), names in places.items()]
