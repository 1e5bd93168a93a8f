"""The verdicts on a file of somebody else: why a pair is not proven, the table, and the gate."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from rich.box import ASCII2

from pipeline.files.reports.prove import FileReport
from pipeline.files.reports.verify import AnyPair, ComparedPair, FailedPair
from pipeline.process.words import percent
from pipeline.reporting import statistics, summary
from pipeline.reporting.statistics import NOT_SHOWN, PROVEN, WORSE
from pipeline.reporting.tables import MILLISECONDS, interval

COLUMNS = (
    "runtimes",
    "images",
    "accuracy",
    "95 % interval",
    "loses at most",
    MILLISECONDS,
    "verdict",
)
BETTER = 0.001  # p-value from which a file is hardly made from its reference


def explained(pair: AnyPair) -> AnyPair:
    """The report of a pair, with the reason for its verdict in words for the file's user."""
    if not isinstance(pair, ComparedPair) or pair.state == PROVEN:
        return pair
    return pair.changed(reason=reason(pair))


def reason(pair: ComparedPair) -> str:
    tolerance = statistics.tolerance(pair.computes_in_integers, None)
    if not (difference := pair.golden_difference or 0.0) <= tolerance:
        return (
            f"its outputs for chosen images differ from those on this processor by up to "
            f"{difference:.2g}; expected at most {tolerance:g}"
        )
    allowed = f"{100 * pair.max_accuracy_drop:.2g} %"
    counts = f"{pair.lost} of {pair.images:,} images lost, {pair.gained} gained"
    if not pair.is_native:
        return f"as on this processor; {counts}"
    if pair.state == WORSE:
        return f"{counts}: significant, or more than the {allowed} that may be lost"
    needed = pair.images_needed
    cure = f"; {needed:,} images like these would show {allowed}" if needed else ""
    return f"{counts}: so few images show only that at most {percent(pair.bound)} is lost{cure}"


def passed(report: FileReport, required: str) -> bool:
    """Whether the file ran here, and no pair has a verdict that verify.require excludes."""
    refused = {WORSE, NOT_SHOWN} if required == PROVEN else {WORSE}
    states = {pair.state for pair in report.pairs}
    return bool(report.here) and not states & refused


def show(report: FileReport) -> None:
    """Prints a table for each file, and below them what needs words."""
    width = shutil.get_terminal_size().columns
    formats = list(dict.fromkeys(pair.format for pair in report.pairs))
    for name in formats:
        title = f"\n{name}" if len(formats) > 1 else ""
        print(f"{title}\n{table(report, name, width)}\n")
    print("\n".join(textwrap.fill(sentence, width) for sentence in sentences(report)))


def table(report: FileReport, name: str, width: int) -> str:
    """The pairs of the file `name`, below the reference."""
    pairs = [pair for pair in report.pairs if pair.format == name]
    compared = [pair for pair in pairs if isinstance(pair, ComparedPair)]
    images = report.judged_on.images
    lines = [reference_row(report), *(row(pair, images) for pair in compared)]
    shown = [column for column in COLUMNS if any(line.get(column) for line in lines)]
    return summary.table(shown, lines, ASCII2, width)


def reference_row(report: FileReport) -> dict[str, str]:
    other = report.compared_with
    return {
        "runtimes": other.name if other.origin is None else "its reference",
        "accuracy": percent(other.accuracy),
        "95 % interval": interval(other.accuracy_interval),
    }


def row(pair: ComparedPair, images: int) -> dict[str, str]:
    """A pair; `images` is how many a fast one sees. One elsewhere is judged by that of here."""
    _, value, ends = pair.score
    fewer = f", {pair.images:,} images" if pair.images < images else ""
    is_judged_here = pair.golden_difference is not None
    return {
        "runtimes": f"{summary.place(pair)}{fewer}",
        "accuracy": percent(value),
        "95 % interval": interval(ends),
        "loses at most": "" if is_judged_here else percent(pair.bound),
        MILLISECONDS: summary.milliseconds(summary.medians([pair])),
        "verdict": pair.state,
    }


def sentences(report: FileReport) -> list[str]:
    origin, other = report.origin, report.compared_with
    softmax = "; a softmax is added" if origin.softmax_added else ""
    result = [f"{origin.file} takes {origin.scaling}{softmax}.", against(report)]
    result += [f"{place}: {why}." for why, place in reasons(report.pairs).items()]
    if other.origin is not None and (better := significantly_better(report)):
        result.append(
            f"Warning: {origin.file} is right on significantly more images than {other.name} "
            f"({better.gained} gained, {better.lost} lost); was it made from that model?"
        )
    if c := report.c:
        result.append(
            f"C in {c.folder}: every byte of its outputs for {c.images:,} images is "
            f"TensorFlow Lite Micro's; RAM for the arena {c.arena_bytes:,} bytes, constants "
            f"{c.constant_bytes:,} bytes."
        )
    return [*result, f"Report: {FileReport.PATH}"]


def against(report: FileReport) -> str:
    other, images = report.compared_with, f"{report.judged_on.images:,} images"
    if other.origin is not None:
        return f"Loses at most: the upper 95 % bound of the loss against {other.name}, on {images}."
    return (
        "Nothing says how good the model was before: the accuracy is by labels alone, and the "
        f"verdict says whether a runtime answers as the {other.name} do, on {images}."
    )


def reasons(pairs: Sequence[AnyPair]) -> dict[str, str]:
    """Why pairs are not proven, and which: each reason once."""
    result: dict[str, str] = {}
    has_several = len({pair.format for pair in pairs}) > 1
    for pair in pairs:
        if isinstance(pair, FailedPair | ComparedPair) and pair.reason:
            before = f"{result[pair.reason]}, " if pair.reason in result else ""
            state = "" if isinstance(pair, ComparedPair) else " could not run"
            file = f"{pair.format} on " if has_several else ""
            result[pair.reason] = f"{before}{file}{summary.place(pair)}{state}"
    return result


def significantly_better(report: FileReport) -> ComparedPair | None:
    """A pair on this processor that gains more than chance explains."""
    compared = [pair for pair in report.here if isinstance(pair, ComparedPair)]
    better = [pair for pair in compared if pair.gained > pair.lost]
    return next((pair for pair in better if pair.mcnemar_p_value < BETTER), None)
