"""Runs worked examples of the lectures, and sets the published figures beside ours.

    edgeproof lectures S12            one example; finished trainings are not repeated
    edgeproof lectures                all of them
    edgeproof lectures S12 --quick    1 epoch of at most 1,000 examples, to see that it works

Reads: lectures/S*.yaml, params.yaml. Writes: lectures/results/<example>.json and .png, and
lectures/README.md.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from lectures import comparison, data, outcome, page, picture
from lectures.comparison import Row
from lectures.example import FOLDER, Example, load, names
from lectures.outcome import Outcome
from pipeline.process.errors import UserError
from pipeline.search.engine import Engine

RESULTS = FOLDER / "results"
QUICK_RESULTS = data.FOLDER / "quick"
FILE_WIDTH = 200  # columns of a table that is not written to a terminal


def run(example_names: Sequence[str], where: Engine, quick: bool) -> None:
    """Runs these examples, or all of them, and writes the page. Raises UserError."""
    all_examples = {name: load(name) for name in names()}
    example_names = example_names or names()
    examples = {name: load(name) for name in example_names}
    failed = []
    for name, example in examples.items():
        try:
            run_example(name, example, where, quick)
        except UserError as error:
            if len(example_names) == 1:
                raise
            failed.append(name)
            print(f"{name} is skipped: {error}", flush=True)
    if not quick:
        results = {name: outcome.load(RESULTS / f"{name}.json") for name in all_examples}
        page.write(all_examples, results)
        print(f"Report: {page.PAGE}")
    if failed:
        raise UserError(
            f"{', '.join(failed)} could not be run for the reasons above; run the command again"
        )


def run_example(name: str, example: Example, where: Engine, quick: bool) -> None:
    """Runs one example, and writes its results and its picture. Raises UserError."""
    folder = QUICK_RESULTS if quick else RESULTS
    print(f"{name}: {example.title}", flush=True)
    measured, description = outcomes(example, where, quick)
    outcome.save(folder / f"{name}.json", measured, description, example.digest())
    picture.draw(folder / f"{name}.png", example, measured)
    print_table(example, comparison.rows(example, measured))


def outcomes(example: Example, where: Engine, quick: bool) -> tuple[list[Outcome], str]:
    """The outcome of each variation, by the module of its kind, and a description of the data.

    Raises UserError.
    """
    by_name, description = dict[str, Outcome](), ""
    kinds = {variation.name: variation.kind or example.kind for variation in example.variations}
    for kind in dict.fromkeys(kinds.values()):
        variations = [
            variation for variation in example.variations if kinds[variation.name] == kind
        ]
        module = importlib.import_module(f"lectures.{kind}")
        part = example.model_copy(update={"variations": variations})
        measured, description = module.outcomes(part, where, quick)
        by_name |= {outcome.name: outcome for outcome in measured}
    return [by_name[name] for name in kinds], description


def print_table(example: Example, rows: Sequence[Row]) -> None:
    table = Table(*page.COLUMNS, title=example.question)
    for row in rows:
        table.add_row(row.variation, row.measure, row.published, row.ours, row.difference, row.met)
    width = None if sys.stdout.isatty() else FILE_WIDTH
    Console(width=width, soft_wrap=True, highlight=False).print(table)
