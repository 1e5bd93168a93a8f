"""Why a class or label has no example in one of the splits, and what to do."""

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
    own: Mapping[str, Array],
    groups: Array,
    settings: Preprocess,
) -> None:
    """Raises UserError for a class, or one of several labels, that a split lacks.

    `own` are the rows of the splits that the data themselves name. The others are made of the raw
    training part, whose rows have these `groups` (N,).
    """
    cut = [split for split in selections if split not in own]
    used = sum(len(selections[split].rows) for split in cut) + len(own.get("validation", []))
    for split, selection in selections.items():
        labels = selection.labels[selection.rows]
        several = labels.ndim > 1
        present = np.flatnonzero(labels.any(0)) if several else labels
        missing = np.setdiff1d(np.arange(len(names)), present)
        if len(labels) and len(missing):
            number, noun = int(missing[0]), "label" if several else "class"
            lacks = f"{noun} {names[number]!r} has no example in the {split} part"
            if split in own:
                raise UserError(of_own_part(names[number], split, noun))
            has = selection.labels[:, number] if several else selection.labels == number
            rows = np.flatnonzero(has)
            rows = np.setdiff1d(rows, own.get("validation", []))
            independent = len(np.unique(groups[rows]))
            cure = _cure(split, independent, cut, settings, used < len(groups))
            raise UserError(
                f"{lacks}: the data have {counted(len(rows), 'example')} of it{_outside(own)}"
                f"{_together(len(rows), independent)}; {cure}, or leave the {noun} out"
            )


def of_own_part(name: str, split: str, noun: str = "class") -> str:
    """What is wrong if one is missing from a part that the data name themselves."""
    joined = ", or join that part with train, of which a share then validates"
    return (
        f"{noun} {name!r} has no example in the {split} part of your data; add one to it, or leave "
        f"the {noun} out{joined * (split == 'validation')}"
    )


def _outside(own: Mapping[str, Array]) -> str:
    return f" outside of your own {' and '.join(own)} part{'s' * (len(own) > 1)}" if own else ""


def _together(examples: int, independent: int) -> str:
    if independent == examples:
        return ""
    return f", and as copies and groups stay together only {independent:,} can be apart"


def _cure(
    split: str, independent: int, cut: Sequence[str], settings: Preprocess, leaves_out: bool
) -> str:
    """`leaves_out` says whether the data have examples that are in none of the parts."""
    if independent < len(cut):
        return f"expected at least {len(cut)}, one for each part: add some"
    if settings.corrections != NONE:
        return "look at preprocess.corrections, which may change or drop those of this part"
    if split != "test" and settings.subset is not None and leaves_out:
        return "raise preprocess.subset, or set it to null"
    if split != "test" and "validation" in cut and settings.order != "stratified":
        return f"set preprocess.order to stratified; it is {settings.order}"
    if split in SIZE:
        return f"raise {SIZE[split]}"
    return f"lower {' or '.join(SIZE[part] for part in cut if part in SIZE)}"
