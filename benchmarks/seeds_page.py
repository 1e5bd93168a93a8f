"""What `make seeds` writes: benchmarks/seeds.md and the headline of two other pages."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.process.words import percent
from pipeline.reporting import tables
from serving.gate import PROVEN

Row = dict[str, Any]  # one seed; see seeds.collect


def text(results: dict[str, Any]) -> str:
    """The text of benchmarks/seeds.md."""
    rows = results["rows"]
    count = "ten" if len(rows) == 10 else len(rows)
    lines = [
        f"# The default recipe with {count} seeds",
        "",
        f"{headline(results)} `make seeds` makes this page; `seeds.json` beside it has every pair.",
        "",
        "| seed | test accuracy | validation accuracy | fitting, s | pipeline, s | verdict |",
        "|---:|---:|---:|---:|---:|---|",
        *(tables.markdown(cells(row)) for row in rows),
        "",
        "Accuracy lost by each file against its Keras model, in percentage points on all "
        f"{most_images(rows):,} test and validation images, on the runtime that loses most:",
        "",
        *table(losses(rows)),
    ]
    if rejecting(rows):
        lines += [
            "",
            'Test images that get the answer "none of these", in percent, on the runtime with the '
            "most of them:",
            "",
            *table(worst(rows, lambda pair: 1 - float(pair["rejection"]["coverage"]))),
            "",
            "Of the other answers those that are wrong, in percent, on the runtime with the most "
            "of them:",
            "",
            *table(worst(rows, lambda pair: float(pair["rejection"]["error"]))),
        ]
    return "\n".join(lines) + "\n"


def cells(row: Row) -> list[str]:
    """One seed's cells of the table."""
    failure = f"failed: {row['reason'] or 'not every file is proven'}"
    return [
        str(row["seed"]),
        percent(row["test_accuracy"]),
        percent(row["validation_accuracy"]),
        f"{row['training_seconds']:.0f}",
        f"{row['seconds']:.0f}",
        "passed" if proven(row) else failure,
    ]


def table(shares: dict[str, list[float]]) -> list[str]:
    """The mean and spread of each file's shares, in percent."""
    lines = ["| file | mean | standard deviation | least | most |", "|---|---:|---:|---:|---:|"]
    for name, values in shares.items():
        figures = (statistics.mean(values), deviation(values), min(values), max(values))
        lines.append(tables.markdown([name, *(f"{100 * figure:.3f}" for figure in figures)]))
    return lines


def losses(rows: Sequence[Row]) -> dict[str, list[float]]:
    """The accuracy that each file loses with each seed, on the runtime that loses most."""
    return worst(rows, lambda pair: float(pair["accuracy_lost"]))


def rejecting(rows: Sequence[Row]) -> bool:
    """Whether the files can answer "none of these"."""
    most = most_images(rows)
    pairs = [pair for row in rows for pair in row["pairs"] if pair.get("images") == most]
    return bool(pairs) and all(pair.get("rejection") for pair in pairs)


def worst(rows: Sequence[Row], figure: Callable[[Row], float]) -> dict[str, list[float]]:
    """For each exported file the highest figure of its runtimes, with each seed.

    Runtimes and processors that saw fewer images than others are left out, because a single image
    counts for more there.
    """
    result: dict[str, list[float]] = {}
    most = most_images(rows)
    for row in rows:
        highest: dict[str, float] = {}
        for pair in row["pairs"]:
            if pair.get("images") == most:
                name, value = pair["format"], figure(pair)
                highest[name] = max(value, highest.get(name, value))
        for name, value in highest.items():
            result.setdefault(name, []).append(value)
    return result


def most_images(rows: Sequence[Row]) -> int:
    """The number of images that files are judged on, on runtimes that are fast enough for all."""
    return max((pair.get("images", 0) for row in rows for pair in row["pairs"]), default=0)


def proven(row: Row) -> bool:
    """Whether the pipeline finished, and every pair is proven."""
    return row["passed"] and all(pair["state"] == PROVEN for pair in row["pairs"])


def deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def headline(results: dict[str, Any]) -> str:
    """The headline of README.md and docs/results.md: how good the model is."""
    rows = results["rows"]
    accuracies = [row["test_accuracy"] for row in rows]
    last_stage = results["last_stage"]
    command = f"`dvc repro {last_stage}`" if last_stage else "the whole pipeline"
    processors = dict.fromkeys(pair["processor"] for row in rows for pair in row["pairs"])
    proof = f", every file proven on {', '.join(processors)}," if processors else ""
    spread = f"{100 * min(accuracies):.2f} to {100 * max(accuracies):.2f} %"
    return (
        f"**{percent(statistics.mean(accuracies))}** on the test set, "
        f"mean of {len(rows)} seeds (standard deviation {100 * deviation(accuracies):.2f} points, "
        f"range {spread}); {command} passed{proof} with {sum(map(proven, rows))} of {len(rows)}. "
        f"Measured on {results['machine']}."
    )
