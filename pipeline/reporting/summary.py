"""The table that the line ends with, made from the reports.

python -m pipeline.reporting.summary            prints it
python -m pipeline.reporting.summary README.md  writes it between the markers of that file
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.box import ASCII2, MARKDOWN
from rich.console import Console
from rich.table import Table

from pipeline.config.processors import NATIVE
from pipeline.files import artifacts, atomic
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.reporting.tables import interval, percent
from serving.gate import COULD_NOT_RUN, VERDICTS

COLUMNS = ("model", "runtimes", "test accuracy", "95 % interval", "loses at most", "agreement", "bytes", "ms/image", "emulated", "verdict")
BASELINES = {"rmse": "nearest class mean (RMSE)", "mae": "nearest class mean (MAE)", "naive_bayes": "naive Bayes"}
BEGIN, END = "<!-- results: python -m pipeline.reporting.summary README.md -->", "<!-- end of results -->"


def rows(baseline: dict[str, Any], evaluation: dict[str, Any], verification: dict[str, Any], model_bytes: int) -> list[list[str]]:
    nearest = baseline[f"test_{baseline['best']}"]
    gate = evaluation["gate"]
    passed = gate["target_reached"] and gate["baseline_beaten"]
    name = f"baseline: {BASELINES[baseline['best']]}"
    return [
        [name, "", percent(nearest["accuracy"]), interval(nearest["interval"]), "", "", "", "", "", ""],
        [
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
        ],
        *[file_row(name, pairs) for name, pairs in by_format(verification).items()],
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
        return [name, "", "", "", "", "", size, "", "", f"could not run: {pairs[0]['reason']}"]
    most_images = max(pair["images"] for pair in here)
    on_all = [pair for pair in here if pair["images"] == most_images]  # an interpreter may be too slow for them
    least = min(on_all, key=lambda pair: pair["accuracy"])
    times = sorted(pair["median_milliseconds"] for pair in here if "median_milliseconds" in pair)
    states = [pair["state"] for pair in ran]
    missing = [f"; could not run on {_where(pair)}" for pair in pairs if pair["state"] == COULD_NOT_RUN]
    return [
        name,
        ", ".join(pair["runtime"] for pair in here),
        percent(least["accuracy"]),
        interval(least["accuracy_interval"]),
        percent(max(pair["accuracy_lost_bound"] for pair in on_all)),
        percent(min(pair["agreement"] for pair in ran)),
        size,
        " to ".join(dict.fromkeys(f"{time:.3f}" for time in (times[0], times[-1]))) if times else "",
        ", ".join(dict.fromkeys(pair["processor"] for pair in ran if pair["processor"] != NATIVE)),
        max(states, key=VERDICTS.index) + "".join(missing),
    ]


def _where(pair: dict[str, Any]) -> str:
    return str(pair["runtime"]) if pair["processor"] == NATIVE else f"{pair['processor']} ({pair['runtime']})"


def notes(verification: dict[str, Any]) -> str:
    pairs = verification["pairs"]
    here = [pair for pair in pairs if pair["processor"] == NATIVE and "images" in pair]
    there = [pair for pair in pairs if pair["processor"] != NATIVE and "images" in pair]
    split = verification["judged_on"]
    measured_on = next((pair["measured_on"] for pair in here if "measured_on" in pair), "an unknown processor")
    versions = dict.fromkeys(f"{pair['runtime']} {pair['runtime_version']}" for pair in here)
    parts = [
        f"Accuracy on {split['test']:,} test images, of the runtime with the least.",
        '"Loses at most" is the one-sided upper 95 % bound of the accuracy lost against Keras, image by image, on all '
        f"{split['test'] + split['validation']:,} test and validation images.",
    ]
    parts += [
        f"{pair['runtime']} sees {pair['images']:,} of them, and takes an arena of {pair['arena_bytes']:,} bytes in this build."
        for pair in here
        if pair.get("arena_bytes")
    ]
    if there:
        differences = [pair["golden_difference"] for pair in there if "golden_difference" in pair]
        parts.append(
            f"On each emulated processor {max(pair['images'] for pair in there)} test images, of files that compute in float32 "
            f"{min(pair['images'] for pair in there)}, and the golden vectors, whose probabilities differ from those here by at most "
            f"{max(differences, default=0):.2g}."
        )
    parts.append(
        f"Milliseconds are the medians of single images on one thread of {measured_on}, of the fastest runtime and of the slowest: on "
        "another processor the order can be the reverse, int8 above all."
    )
    parts.append(f"Runtimes: {', '.join(versions)}.")
    return " ".join(parts)


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


def load() -> tuple[list[list[str]], str]:
    names = ("baseline", "evaluate", "verify", "diagnose")
    baseline, evaluation, verification, diagnosis = (artifacts.load_json(artifacts.report(name)) for name in names)
    note = f"{notes(verification)} The learning curves: {diagnosis['sentence']}."
    return rows(baseline, evaluation, verification, artifacts.MODEL.stat().st_size), note


def block() -> str:
    """What the README shows."""
    lines, note = load()
    return f"{table(lines, MARKDOWN, 400)}\n\n{note}"


def replace(path: Path, block: str, begin: str, end: str) -> None:
    """Writes `block` between two marking lines of a file. Raises UserError where they are missing."""
    text = path.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise UserError(f"{path} has no lines {begin!r} and {end!r}; add them where the table belongs")
    before, rest = text.split(begin, 1)
    with atomic.replacing(path) as temporary:
        temporary.write_text(f"{before}{begin}\n{block}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def main() -> None:
    if len(sys.argv) == 1:
        lines, note = load()
        print(table(lines, ASCII2, 210))
        print(note)
        return
    replace(Path(sys.argv[1]), block(), BEGIN, END)


if __name__ == "__main__":
    stage.run(main)
