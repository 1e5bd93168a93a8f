"""The table of results, made from the reports.

    python -m pipeline.reporting.summary            prints it
    python -m pipeline.reporting.summary README.md  writes it between the markers of that file

If the pipeline has stopped early, the reports of later stages are from an earlier run. DVC knows
which ones, and they are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
    "<!-- results: python -m pipeline.reporting.summary README.md -->",
    "<!-- end of results -->",
)


def outdated() -> list[str]:
    """Those of REPORTS that are missing or from an earlier run, as their stage is out of date.

    Raises UserError.
    """
    # Imported here because it takes half a second, which other users of this module do not need.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return [name for name in REPORTS if repo.status([name], with_deps=True)]
    except DvcException as error:
        raise UserError(
            f"no table: DVC cannot tell whether the reports are up to date: {error}"
        ) from None


def rows(reports: dict[str, Any]) -> list[list[str]]:
    """The rows of the table, for the reports that are given."""
    result = []
    if "baseline" in reports:
        result.append(baseline_row(reports["baseline"]))
    if "evaluate" in reports:
        result.append(keras_row(reports["evaluate"], artifacts.MODEL.stat().st_size))
    if "verify" in reports:
        result += [file_row(name, pairs) for name, pairs in by_format(reports["verify"]).items()]
    return result


def row(cells: dict[str, str]) -> list[str]:
    """A row of the table from its cells by column; the columns that are not given are empty."""
    return [cells.get(column, "") for column in COLUMNS]


def baseline_row(baseline: dict[str, Any]) -> list[str]:
    score = baseline[f"test_{baseline['best']}"]
    return row(
        {
            "model": f"baseline: {BASELINES[baseline['best']]}",
            "test accuracy": percent(score["accuracy"]),
            "95 % interval": interval(score["interval"]),
        }
    )


def keras_row(evaluation: dict[str, Any], model_bytes: int) -> list[str]:
    gate = evaluation["gate"]
    passed = gate["target_reached"] and gate["baseline_beaten"]
    return row(
        {
            "model": "Keras",
            "test accuracy": percent(evaluation["test_accuracy"]),
            "95 % interval": interval(evaluation["test_accuracy_interval"]),
            "bytes": f"{model_bytes:,}",
            "verdict": "passed" if passed else "failed",
        }
    )


def by_format(verification: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    result: dict[str, list[dict[str, Any]]] = {}
    for pair in verification["pairs"]:
        result.setdefault(pair["format"], []).append(pair)
    return result


def file_row(name: str, pairs: list[dict[str, Any]]) -> list[str]:
    """One file: the worst result of all runtimes and processors that ran it."""
    size = f"{pairs[0]['bytes']:,}"
    ran = [pair for pair in pairs if pair["state"] != COULD_NOT_RUN]
    failed = [pair for pair in pairs if pair["state"] == COULD_NOT_RUN]
    native = [pair for pair in ran if pair["processor"] == NATIVE]
    emulated = [pair["processor"] for pair in ran if pair["processor"] != NATIVE]
    if not native:
        reason = failed[0]["reason"] if failed else UNREAD
        return row({"model": name, "bytes": size, "verdict": f"could not run: {reason}"})
    # TensorFlow Lite Micro is too slow for all images; its figures are not comparable.
    most_images = max(pair["images"] for pair in native)
    on_all = [pair for pair in native if pair["images"] == most_images]
    worst = min(on_all, key=lambda pair: pair["accuracy"])
    verdict = max((pair["state"] for pair in ran), key=VERDICTS.index)
    gaps = "".join(f"; could not run on {_place(pair)}" for pair in failed)
    return row(
        {
            "model": name,
            "runtimes": ", ".join(pair["runtime"] for pair in native),
            "test accuracy": percent(worst["accuracy"]),
            "95 % interval": interval(worst["accuracy_interval"]),
            "loses at most": percent(max(pair["accuracy_lost_bound"] for pair in on_all)),
            "agreement": percent(min(pair["agreement"] for pair in on_all)),
            "bytes": size,
            "ms/image": _latency(native),
            "emulated": ", ".join(dict.fromkeys(emulated)),
            "verdict": f"{verdict}{gaps}",
        }
    )


def _latency(pairs: list[dict[str, Any]]) -> str:
    """The fastest and the slowest runtime's median, in milliseconds; empty if none was measured."""
    times = sorted(pair["median_milliseconds"] for pair in pairs if "median_milliseconds" in pair)
    ends = [f"{time:.3f}" for time in (*times[:1], *times[-1:])]
    return " to ".join(dict.fromkeys(ends))


def _place(pair: dict[str, Any]) -> str:
    if pair["processor"] == NATIVE:
        return str(pair["runtime"])
    return f"{pair['processor']} ({pair['runtime']})"


def notes(verification: dict[str, Any]) -> str:
    """How the figures of the table were measured."""
    pairs = [pair for pair in verification["pairs"] if "images" in pair]
    native = [pair for pair in pairs if pair["processor"] == NATIVE]
    emulated = [pair for pair in pairs if pair["processor"] != NATIVE]
    split = verification["judged_on"]
    processors = [pair["measured_on"] for pair in native if "measured_on" in pair]
    measured_on = [*processors, "an unknown processor"][0]
    versions = dict.fromkeys(f"{pair['runtime']} {pair['runtime_version']}" for pair in native)
    parts = [
        f"Accuracy on {split['test']:,} test images, of the runtime with the lowest.",
        '"Loses at most" is the one-sided upper 95 % bound of the accuracy lost against Keras, '
        f"image by image, on all {split['test'] + split['validation']:,} test and validation "
        "images.",
    ]
    parts += [
        f"{pair['runtime']} sees {pair['images']:,} of them, which bound its loss at "
        f"{percent(pair['accuracy_lost_bound'])}, and takes an arena of {pair['arena_bytes']:,} "
        "bytes in this build."
        for pair in native
        if pair.get("arena_bytes")
    ]
    parts += [_emulated_note(emulated)] if emulated else []
    parts.append(
        f"Milliseconds are the median latencies of single images on one thread of {measured_on}, "
        "of the fastest and the slowest runtime; on another processor the order can be reversed, "
        "especially for int8."
    )
    parts.append(f"Runtimes: {', '.join(versions)}.")
    return " ".join(parts)


def _emulated_note(pairs: list[dict[str, Any]]) -> str:
    """What emulated processors saw; files that compute in float32 see fewer images there."""
    images = [pair["images"] for pair in pairs]
    inputs = f"{max(images)} test images"
    if min(images) < max(images):
        inputs += f" ({min(images)} for files that compute in float32)"
    differences = [pair["golden_difference"] for pair in pairs if "golden_difference" in pair]
    if differences:
        inputs += (
            " and the golden vectors, whose probabilities differ from those here by at most "
            f"{max(differences):.2g}"
        )
    return f"Each emulated processor sees {inputs}."


def table(cells: list[list[str]], box: Any, width: int) -> str:
    grid = Table(*COLUMNS, box=box)
    for column in grid.columns[2:7]:  # the figures
        column.justify = "right"
    for cells_of_row in cells:
        grid.add_row(*cells_of_row)
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.strip() for line in capture.get().splitlines() if line.strip())


def block(box: Any = MARKDOWN, width: int = 400, left_out: Sequence[str] = ()) -> str:
    """The table and its notes, without the reports in `left_out`; by default as in README.md."""
    reports = {
        name: artifacts.load_json(artifacts.report(name))
        for name in REPORTS
        if name not in left_out
    }
    cells = rows(reports)
    sentences = [notes(reports["verify"])] if "verify" in reports else []
    if "diagnose" in reports:
        sentences.append(f"The learning curves: {reports['diagnose']['sentence']}.")
    if left_out:
        names = ", ".join(left_out)
        sentences.append(f"Not shown, as missing or from an earlier run: {names}.")
    paragraphs = [table(cells, box, width)] if cells else []
    return "\n\n".join([*paragraphs, " ".join(sentences)])


def replace(path: Path, block: str, begin: str, end: str) -> None:
    """Writes `block` between two marker lines of a file. Raises UserError if they are missing."""
    text = path.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise UserError(
            f"{path} has no lines {begin!r} and {end!r}; add them where the table should be"
        )
    before, rest = text.split(begin, 1)
    after = rest.split(end, 1)[1]
    with atomic.replacing(path) as temporary:
        temporary.write_text(f"{before}{begin}\n{block}\n{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.reporting.summary", description="The table of results."
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="the file to write the table into, between its markers (default: print it)",
    )
    file = parser.parse_args().file
    missing = outdated()
    if file is None:
        print(block(ASCII2, 210, missing))
        return
    if missing:
        raise UserError(
            f"the reports of {', '.join(missing)} are missing or from an earlier run; "
            "run `dvc repro` first"
        )
    replace(file, block(), BEGIN, END)


if __name__ == "__main__":
    stage.run(main)
