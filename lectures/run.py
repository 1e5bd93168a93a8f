"""Runs worked examples of the lectures and sets the published figures beside ours.

    edgeproof lectures S12            one study; what has been trained before is not trained again
    edgeproof lectures                all of them
    edgeproof lectures S12 --quick    one epoch of 1,000 examples, to see it work

Reads: lectures/S*.yaml, params.yaml. Writes: lectures/results/<study>.json and .png, and lectures/README.md.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lectures import comparison, data, outcome, page, picture
from lectures.comparison import Row
from lectures.example import FOLDER, Study, load, names
from lectures.outcome import Outcome
from pipeline.process.errors import UserError

RESULTS = FOLDER / "results"
IN_A_FILE = 200  # columns of a table that is written to no terminal


def run_study(name: str, workers: int, quick: bool, folder: Path) -> None:
    """Runs one study, and writes its results and its picture into `folder`. Raises UserError."""
    study = load(name)
    print(f"{name}: {study.title}", flush=True)
    found, described = outcomes(study, workers, quick)
    outcome.save(folder / f"{name}.json", found, described, study.digest())
    picture.draw(folder / f"{name}.png", study, found)
    tell(study, comparison.rows(study, found))


def outcomes(study: Study, workers: int, quick: bool) -> tuple[list[Outcome], str]:
    """What came of each variation, made by the module of its kind, and what the data were. Raises UserError."""
    made, described = dict[str, Outcome](), ""
    kinds = {variation.name: variation.kind or study.kind for variation in study.variations}
    for kind in dict.fromkeys(kinds.values()):
        part = study.model_copy(
            update={
                "variations": [
                    variation for variation in study.variations if kinds[variation.name] == kind
                ]
            }
        )
        found, described = importlib.import_module(f"lectures.{kind}").outcomes(
            part, workers, quick
        )
        made |= {one.name: one for one in found}
    return [made[name] for name in kinds], described


def tell(study: Study, rows: Sequence[Row]) -> None:
    table = Table(*page.COLUMNS, title=study.question)
    for row in rows:
        table.add_row(row.variation, row.measure, row.published, row.ours, row.difference, row.met)
    Console(
        width=None if sys.stdout.isatty() else IN_A_FILE, soft_wrap=True, highlight=False
    ).print(table)


def run(chosen: Sequence[str], workers: int, quick: bool) -> None:
    """Runs these studies, or all of them, and writes the page. Raises UserError."""
    if workers < 1:
        raise UserError(f"--workers is {workers}; expected an integer of at least 1")
    studies = {name: load(name) for name in names()}
    chosen = chosen or names()
    for name in chosen:
        load(name)
    missed = []
    for name in chosen:
        try:
            run_study(name, workers, quick, data.FOLDER / "quick" if quick else RESULTS)
        except UserError as error:
            if len(chosen) == 1:
                raise
            missed.append(name)
            print(f"{name} is left out: {error}", flush=True)
    if not quick:
        page.write(studies, {name: outcome.load(RESULTS / f"{name}.json") for name in studies})
        print(f"{page.PAGE} shows it")
    if missed:
        raise UserError(
            f"{', '.join(missed)} could not be run, the reasons stand above; the same command tries again"
        )
