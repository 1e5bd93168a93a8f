"""Compares the model in the field with the test: accuracy, degraded classes, drift, worst cases.

    edgeproof field LOG_OR_FOLDER [--labels CSV [--replace]] [--bundle BUNDLE]

Reads: the SQLite file that `serving serve --log` or `serving predict --log` wrote, or a folder of
pictures with one subfolder per class. Writes: field.json, field.md and two pictures to
reports/field/<model>/, and adds them to the model's MLflow run.

This is not a stage: field data are not an input of the pipeline, and no output depends on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.config import params
from pipeline.field import page
from pipeline.field.judge import figures, judge
from pipeline.field.observations import read
from pipeline.field.sentences import sentences
from pipeline.files import artifacts
from pipeline.process import stage
from pipeline.tracking import runs

FOLDER = artifacts.REPORTS / "field"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.field", description="The model in the field, against the test."
    )
    parser.add_argument(
        "source",
        metavar="LOG_OR_FOLDER",
        type=Path,
        help="what --log wrote, or a folder with one folder for each class",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="true classes, in the columns id,label or file,label",
    )
    help_ = "the CSV's labels take the place of those in the log (default: the first label is kept)"
    parser.add_argument("--replace", action="store_true", help=help_)
    parser.add_argument(
        "--bundle",
        type=Path,
        default=artifacts.DIST,
        help="which a folder is tried on (default %(default)s)",
    )
    arguments = parser.parse_args()
    chosen = params.load().field
    for observed in read(arguments.source, arguments.labels, arguments.bundle, arguments.replace):
        facts = judge(observed, chosen)
        facts["sentences"] = sentences(facts)
        folder = (
            FOLDER / f"{facts['model']}-{facts['version']}-{facts['format']}-{facts['runtime']}"
        )
        page.write(artifacts.empty(folder), facts, observed)
        print("\n".join([f"{folder}/{page.FILE}", *facts["sentences"]]))
        tags = {"field_verdict": facts["accuracy"]["verdict"]}
        runs.add(facts["model_sha256"], figures(facts), tags, folder)


if __name__ == "__main__":
    stage.run(main)
