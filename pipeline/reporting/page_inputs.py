"""The files that reports/index.html is made from, and whether it belongs to those that lie here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts
from pipeline.files.reports.bundle import KINDS

PAGE = artifacts.REPORTS / "index.html"
PICTURES = {
    "contact_sheet": "Examples of the training set, class by class",
    "class_counts": "Examples of each class in each set",
    "learning_curves": "Loss and accuracy by epoch, for the training set and the validation set",
    "confusion": "Confusion matrix of the test set: a row for each true class",
    "bars": "How many test examples are right, with 95 % intervals, the worst first",
    "reliability": "How often answers of each confidence are right; above, the calibration error",
    "mistakes": "The worst mistakes on the test set: true class, predicted class, confidence",
}
# Their captions if the model gives a number.
NUMBER_PICTURES = {
    "contact_sheet": "Examples of the training set, from the lowest number to the highest",
    "class_counts": "How often each number occurs in each set",
    "learning_curves": "Loss and error by epoch, for the training set and the validation set",
    "confusion": "True and predicted numbers of the test set; the line is where all should be",
    "bars": "The mean absolute error in each tenth of the true numbers, with 95 % intervals",
    "reliability": "How many test examples have at most each absolute error, for each file; "
    "dotted: the share that intervals must hold",
    "mistakes": "The largest errors on the test set: true number as predicted number",
}
DIGEST = '<meta name="edgeproof-inputs" content="{}">'
# `package` depends on no value of these sections.
UNUSED_SECTIONS = {"field", "watch"}


def picture(name: str) -> Path:
    return artifacts.REPORTS / f"{name}.png"


def digest(settings: Params) -> str:
    """SHA-256 of the params, the reports and the pictures."""
    result = hashlib.sha256(settings.model_dump_json(exclude=UNUSED_SECTIONS).encode())
    reports = (kind.PATH for kind in KINDS.values())
    for path in (*reports, *map(picture, PICTURES)):
        result.update(artifacts.sha256(path).encode())
    return result.hexdigest()


def current_page() -> Path | None:
    """The page if it was made from the params, reports and pictures that lie here, else None.

    DVC cannot answer this: it records nothing of `package` if a gate fails.
    """
    try:
        expected = DIGEST.format(digest(params.load()))
        return PAGE if expected in PAGE.read_text(encoding="utf-8") else None
    except FileNotFoundError:
        return None
