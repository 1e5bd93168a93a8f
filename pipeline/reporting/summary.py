"""The table that the line ends with, made from the reports.

edgeproof report            prints it
edgeproof report README.md  writes it between the markers of that file

Where the line has stopped before its end, the reports of later stages are of an earlier run. DVC knows which, and no
figure of them is printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import ASCII2, MARKDOWN
from rich.console import Console
from rich.table import Table

from pipeline.config.processors import NATIVE
from pipeline.files import artifacts, atomic
from pipeline.process.errors import UserError
from pipeline.reporting.tables import interval, percent
from serving.gate import COULD_NOT_RUN, VERDICTS

COLUMNS = (
    "model",
    "runtimes",
    "test accuracy",
    "95 % interval",
    "loses at most",
    "agreement",
    "bytes",
    "ms/image",
    "emulated",
    "verdict",
)
BASELINES = {
    "rmse": "nearest class mean (RMSE)",
    "mae": "nearest class mean (MAE)",
    "naive_bayes": "naive Bayes",
}
REPORTS = ("baseline", "evaluate", "verify", "diagnose")
UNREAD = "none of verify.runtimes reads it"
BEGIN, END = (
    "<!-- results: edgeproof report README.md -->",
    "<!-- end of results -->",
)


def outdated() -> list[str]:
    """Those of REPORTS that are missing, or of an earlier run: what they follow from has changed. Raises UserError."""
    from dvc.exceptions import (
        DvcException,
    )  # takes half a second, which others who import this need not
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return [name for name in REPORTS if repo.status([name], with_deps=True)]
    except DvcException as error:
        raise UserError(
            f"no table, as DVC cannot tell of which run the reports are: {error}"
        ) from None


def rows(reports: dict[str, Any]) -> list[list[str]]:
    """The lines of the table, of those reports that there are."""
    lines = []
    if "baseline" in reports:
        lines.append(baseline_row(reports["baseline"]))
    if "evaluate" in reports:
        lines.append(keras_row(reports["evaluate"], artifacts.MODEL.stat().st_size))
    if "verify" in reports:
        lines += [file_row(name, pairs) for name, pairs in by_format(reports["verify"]).items()]
    return lines


def baseline_row(baseline: dict[str, Any]) -> list[str]:
    nearest = baseline[f"test_{baseline['best']}"]
    name = f"baseline: {BASELINES[baseline['best']]}"
    return [
        name,
        "",
        percent(nearest["accuracy"]),
        interval(nearest["interval"]),
        "",
        "",
        "",
        "",
        "",
        "",
    ]


def keras_row(evaluation: dict[str, Any], model_bytes: int) -> list[str]:
    gate = evaluation["gate"]
    passed = gate["target_reached"] and gate["baseline_beaten"]
    return [
        "Keras",
        "",
        percent(evaluation["test_accuracy"]),
        interval(evaluation["test_accuracy_interval"]),
        "",
        "",
        f"{model_bytes:,}",
        "",
        "",
        "passed" if passed else "failed",
    ]


def by_format(verification: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    result: dict[str, list[dict[str, Any]]] = {}
    for pair in verification["pairs"]:
        result.setdefault(pair["format"], []).append(pair)
    return result


def file_row(name: str, pairs: list[dict[str, Any]]) -> list[str]:
    """One file: the worst of all runtimes and processors that ran it."""
    size = f"{pairs[0]['bytes']:,}"
    ran = [pair for pair in pairs if pair["state"] != COULD_NOT_RUN]
    here = [pair for pair in ran if pair["processor"] == NATIVE]
    if not here:
        reasons = [pair["reason"] for pair in pairs if pair["state"] == COULD_NOT_RUN]
        return [
            name,
            "",
            "",
            "",
            "",
            "",
            size,
            "",
            "",
            f"could not run: {(reasons or [UNREAD])[0]}",
        ]
    most_images = max(pair["images"] for pair in here)
    on_all = [
        pair for pair in here if pair["images"] == most_images
    ]  # an interpreter may be too slow for them
    least = min(on_all, key=lambda pair: pair["accuracy"])
    times = sorted(pair["median_milliseconds"] for pair in here if "median_milliseconds" in pair)
    states = [pair["state"] for pair in ran]
    missing = [
        f"; could not run on {_where(pair)}" for pair in pairs if pair["state"] == COULD_NOT_RUN
    ]
    return [
        name,
        ", ".join(pair["runtime"] for pair in here),
        percent(least["accuracy"]),
        interval(least["accuracy_interval"]),
        percent(max(pair["accuracy_lost_bound"] for pair in on_all)),
        percent(min(pair["agreement"] for pair in on_all)),
        size,
        " to ".join(dict.fromkeys(f"{time:.3f}" for time in (times[0], times[-1])))
        if times
        else "",
        ", ".join(dict.fromkeys(pair["processor"] for pair in ran if pair["processor"] != NATIVE)),
        max(states, key=VERDICTS.index) + "".join(missing),
    ]


def _where(pair: dict[str, Any]) -> str:
    return (
        str(pair["runtime"])
        if pair["processor"] == NATIVE
        else f"{pair['processor']} ({pair['runtime']})"
    )


def notes(verification: dict[str, Any]) -> str:
    pairs = verification["pairs"]
    here = [pair for pair in pairs if pair["processor"] == NATIVE and "images" in pair]
    there = [pair for pair in pairs if pair["processor"] != NATIVE and "images" in pair]
    split = verification["judged_on"]
    measured_on = next(
        (pair["measured_on"] for pair in here if "measured_on" in pair), "an unknown processor"
    )
    versions = dict.fromkeys(f"{pair['runtime']} {pair['runtime_version']}" for pair in here)
    parts = [
        f"Accuracy on {split['test']:,} test images, of the runtime with the least.",
        '"Loses at most" is the one-sided upper 95 % bound of the accuracy lost against Keras, image by image, on all '
        f"{split['test'] + split['validation']:,} test and validation images.",
    ]
    parts += [
        f"{pair['runtime']} sees {pair['images']:,} of them, which bound its loss at {percent(pair['accuracy_lost_bound'])}, "
        f"and takes an arena of {pair['arena_bytes']:,} bytes in this build."
        for pair in here
        if pair.get("arena_bytes")
    ]
    parts += [_emulated(there)] if there else []
    parts.append(
        f"Milliseconds are the medians of single images on one thread of {measured_on}, of the fastest runtime and of the slowest: on "
        "another processor the order can be the reverse, int8 above all."
    )
    parts.append(f"Runtimes: {', '.join(versions)}.")
    return " ".join(parts)


def _emulated(there: list[dict[str, Any]]) -> str:
    """What was tried on emulated processors, where files that compute in float32 see fewer images."""
    most, fewest = (count(pair["images"] for pair in there) for count in (max, min))
    seen = f"{most} test images"
    if fewest < most:
        seen += f", of files that compute in float32 {fewest},"
    differences = [pair["golden_difference"] for pair in there if "golden_difference" in pair]
    if differences:
        seen += f" and the golden vectors, whose probabilities differ from those here by at most {max(differences):.2g}"
    return f"On each emulated processor {seen.removesuffix(',')}."


def table(lines: list[list[str]], box: Any, width: int) -> str:
    result = Table(*COLUMNS, box=box)
    for index in range(2, 7):
        result.columns[index].justify = "right"
    for line in lines:
        result.add_row(*line)
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(result)
    return "\n".join(line.strip() for line in capture.get().splitlines() if line.strip())


def block(box: Any = MARKDOWN, width: int = 400, left_out: Sequence[str] = ()) -> str:
    """The table and what belongs to it, without the reports that are left out; by default as the README shows it."""
    reports = {
        name: artifacts.load_json(artifacts.report(name))
        for name in REPORTS
        if name not in left_out
    }
    lines = rows(reports)
    told = [notes(reports["verify"])] if "verify" in reports else []
    if "diagnose" in reports:
        told.append(f"The learning curves: {reports['diagnose']['sentence']}.")
    if left_out:
        told.append(f"Not shown, as missing or of an earlier run: {', '.join(left_out)}.")
    return "\n\n".join([*([table(lines, box, width)] if lines else []), " ".join(told)])


def replace(path: Path, block: str, begin: str, end: str) -> None:
    """Writes `block` between two marking lines of a file. Raises UserError where they are missing."""
    text = path.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise UserError(
            f"{path} has no lines {begin!r} and {end!r}; add them where the table belongs"
        )
    before, rest = text.split(begin, 1)
    with atomic.replacing(path) as temporary:
        temporary.write_text(
            f"{before}{begin}\n{block}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8"
        )


def report(file: Path | None) -> None:
    """Prints the table, or writes it into `file` between its markers. Raises UserError."""
    missing = outdated()
    if file is None:
        print(block(ASCII2, 210, missing))
        return
    if missing:
        raise UserError(
            f"the reports of {', '.join(missing)} are missing or of an earlier run; run `edgeproof run` first"
        )
    replace(file, block(), BEGIN, END)
