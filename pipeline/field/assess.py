"""Compares the model in the field with the test: its score, what suffers, drift, worst cases.

    edgeproof field LOG_OR_FOLDER [--labels CSV [--replace]] [--bundle BUNDLE]

Reads: the SQLite file that `serving serve --log` or `serving predict --log` wrote, or a folder of
pictures with one subfolder per class. Writes: field.json, field.md and two pictures to
reports/field/<model>/, and adds them to the model's MLflow run.

This is not a stage: field data are not an input of the pipeline, and no output depends on them.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config import params
from pipeline.field import page
from pipeline.field.judge import figures, judge
from pipeline.field.sentences import sentences
from pipeline.field.sources import read
from pipeline.files import artifacts
from pipeline.tracking import runs


def assess(source: Path, labels: Path | None, bundle: Path, replace: bool) -> None:
    """Reports on each model in the log, or on the bundle's model if `source` is a folder.

    With `replace`, labels of the CSV replace those in the log. Raises UserError.
    """
    settings = params.load().field
    for observed in read(source, labels, bundle, replace):
        judged = judge(observed, settings)
        report = judged.changed(sentences=sentences(judged))
        page.write(artifacts.empty(report.folder), report, observed)
        print("\n".join([f"{report.folder}/{page.FILE}", *report.sentences]))
        tags = {"field_verdict": report.verdict}
        runs.add(report.model_sha256, figures(report), tags, report.folder)
