"""Runs worked examples of the lectures and sets the published figures beside ours.

    python -m lectures S12            one study; what has been trained before is not trained again
    python -m lectures                all of them
    python -m lectures S12 --quick    one epoch of 1,000 examples, to see it work

Reads: lectures/S*.yaml, params.yaml. Writes: lectures/results/<study>.json and .png, and lectures/README.md.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lectures import comparison, data, outcome, page, picture
from lectures.comparison import Row
from lectures.example import FOLDER, Study, load, names
from lectures.outcome import Outcome
from pipeline.process import stage
from pipeline.process.errors import UserError

RESULTS = FOLDER / "results"
IN_A_FILE = 200  # columns of a table that is written to no terminal


def run(name: str, workers: int, quick: bool, folder: Path) -> None:
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


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lectures", description="The worked examples of the lectures, run again."
    )
    parser.add_argument(
        "studies",
        nargs="*",
        metavar="STUDY",
        help=f"some of {', '.join(names())}; all of them unless given",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="trainings side by side; one a core unless given",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one epoch of 1,000 examples; results go to {data.FOLDER / 'quick'}",
    )
    asked = parser.parse_args()
    if asked.workers < 1:
        raise UserError(f"--workers is {asked.workers}; allowed is 1 or more")
    studies = {name: load(name) for name in names()}
    chosen = asked.studies or names()
    for name in chosen:
        load(name)
    missed = []
    for name in chosen:
        try:
            run(name, asked.workers, asked.quick, data.FOLDER / "quick" if asked.quick else RESULTS)
        except UserError as error:
            if len(chosen) == 1:
                raise
            missed.append(name)
            print(f"{name} is left out: {error}", flush=True)
    if not asked.quick:
        page.write(studies, {name: outcome.load(RESULTS / f"{name}.json") for name in studies})
        print(f"{page.PAGE} shows it")
    if missed:
        raise UserError(
            f"{', '.join(missed)} could not be run, the reasons stand above; the same command tries again"
        )


if __name__ == "__main__":
    stage.run(main)
