"""The table that the line ends with, made from the reports.

python -m pipeline.summary            prints it
python -m pipeline.summary README.md  writes it between the markers of that file
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.box import ASCII2, MARKDOWN
from rich.console import Console
from rich.table import Table

from pipeline import artifacts, stage
from pipeline.stage import UserError

COLUMNS = ("model", "runtime", "test accuracy", "95 % interval", "loses at most", "agreement", "bytes", "ms/image", "verdict")
BASELINES = {"rmse": "nearest class mean (RMSE)", "mae": "nearest class mean (MAE)", "naive_bayes": "naive Bayes"}
BEGIN, END = "<!-- results: python -m pipeline.summary README.md -->", "<!-- end of results -->"


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def interval(bounds: list[float]) -> str:
    return f"{100 * bounds[0]:.2f} to {100 * bounds[1]:.2f} %"


def rows(baseline: dict[str, Any], evaluation: dict[str, Any], verification: dict[str, Any], model_bytes: int) -> list[list[str]]:
    nearest = baseline[f"test_{baseline['best']}"]
    gate = evaluation["gate"]
    passed = gate["target_reached"] and gate["baseline_beaten"]
    name = f"baseline: {BASELINES[baseline['best']]}"
    return [
        [name, "", percent(nearest["accuracy"]), interval(nearest["interval"]), "", "", "", "", ""],
        [
            "Keras",
            "",
            percent(evaluation["test_accuracy"]),
            interval(evaluation["test_accuracy_interval"]),
            "",
            "",
            f"{model_bytes:,}",
            "",
            "passed" if passed else "failed",
        ],
        *[pair_row(pair) for pair in verification["pairs"]],
    ]


def pair_row(pair: dict[str, Any]) -> list[str]:
    runtime = f"{pair['runtime']} {pair.get('runtime_version', '')}".strip()
    if pair["state"] == "could not run":
        return [pair["format"], runtime, "", "", "", "", f"{pair['bytes']:,}", "", f"could not run: {pair['reason']}"]
    return [
        pair["format"],
        runtime,
        percent(pair["accuracy"]),
        interval(pair["accuracy_interval"]),
        percent(pair["accuracy_lost_bound"]),
        percent(pair["agreement"]),
        f"{pair['bytes']:,}",
        f"{pair['median_milliseconds']:.3f}" if "median_milliseconds" in pair else "",
        pair["state"],
    ]


def notes(verification: dict[str, Any]) -> str:
    pairs = verification["pairs"]
    processor = next((pair["processor"] for pair in pairs if "processor" in pair), "an unknown processor")
    sampled = [f"{pair['runtime']} on the first {pair['images']:,} test images" for pair in pairs if pair.get("arena_bytes")]
    arena = [f"with an arena of {pair['arena_bytes']:,} bytes in this build" for pair in pairs if pair.get("arena_bytes")]
    whole = max((pair["images"] for pair in pairs if "images" in pair), default=0)
    sample = f"; {sampled[0]}, {arena[0]}" if sampled else ""
    return (
        f'Accuracy on {whole:,} test images{sample}. "Loses at most" is the one-sided upper 95 % bound of the accuracy lost '
        f"against Keras, image by image. Milliseconds are the median of single images on one thread of {processor}: on "
        "another processor the order can be the reverse, int8 above all."
    )


def table(lines: list[list[str]], box: Any, width: int) -> str:
    result = Table(*COLUMNS, box=box)
    for index in range(2, 8):
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
    with stage.replacing(path) as temporary:
        temporary.write_text(f"{before}{begin}\n{block}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def main() -> None:
    if len(sys.argv) == 1:
        lines, note = load()
        print(table(lines, ASCII2, 170))
        print(note)
        return
    replace(Path(sys.argv[1]), block(), BEGIN, END)


if __name__ == "__main__":
    stage.run(main)
