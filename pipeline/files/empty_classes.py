"""Why a class has no example in one of the splits, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.config.params import NONE, Preprocess
from pipeline.files.artifacts import Array
from pipeline.files.selection import Selection
from pipeline.process.errors import UserError
from pipeline.process.words import counted

SIZE = {"test": "dataset.test", "validation": "preprocess.validation"}


def check(
    selections: Mapping[str, Selection],
    names: Sequence[str],
    made: Sequence[str],
    groups: Array | None,
    settings: Preprocess,
) -> None:
    """Raises UserError for a class that a split lacks.

    `made` are the splits made of the raw training part, whose rows (N,) have these `groups`.
    """
    for split, selection in selections.items():
        labels = selection.labels[selection.rows]
        missing = np.setdiff1d(np.arange(len(names)), labels)
        if len(labels) and len(missing):
            number = int(missing[0])
            lacks = f"class {names[number]!r} has no example in the {split} part"
            if split not in made:
                raise UserError(f"{lacks} of your data; add one to it, or leave the class out")
            rows = np.flatnonzero(selection.labels == number)
            independent = rows if groups is None else np.unique(groups[rows])
            cure = _cure(split, len(independent), len(made), settings)
            raise UserError(
                f"{lacks}: the data have {counted(len(rows), 'example')} of it"
                f"{_together(len(rows), len(independent))}; {cure}, or leave the class out"
            )


def _together(examples: int, independent: int) -> str:
    if independent == examples:
        return ""
    return f", and as copies and groups stay together only {independent:,} can be apart"


def _cure(split: str, independent: int, parts: int, settings: Preprocess) -> str:
    if independent < parts:
        return f"expected at least {parts}, one for each part: add some"
    if settings.corrections != NONE:
        return "look at preprocess.corrections, which may change or drop those of this part"
    if settings.subset is not None:
        return "raise preprocess.subset, or set it to null"
    if settings.order != "stratified":
        return f"set preprocess.order to stratified; it is {settings.order}"
    share = SIZE.get(split)
    return f"raise {share}" if share else "lower dataset.test or preprocess.validation"
