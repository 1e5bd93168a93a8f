"""What a look at pictures and one at sounds share: which files are opened, and what is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.config.parts import one_class_each
from pipeline.datasets.reading import label_meaning
from pipeline.datasets.reading.photo_list import Candidate, Listed, left_out_by_reason
from pipeline.datasets.reading.recording_columns import held_together
from pipeline.files import empty_classes, groups
from pipeline.files.splits import stratified
from pipeline.process.errors import UserError
from pipeline.process.words import counted


def of_every_class_in_turn(candidates: Sequence[Candidate]) -> list[Candidate]:
    labels = np.unique([candidate.label for candidate in candidates], return_inverse=True)[1]
    return [candidates[row] for row in stratified(labels)]


def check_classes(path: Path, counts: dict[str, int], noun: str, faults: dict[str, str]) -> None:
    """Raises UserError if a class has nothing to learn from; `faults` may have the reason."""
    for name, count in counts.items():
        if not count:
            reasons = [reason for file, reason in faults.items() if f"{name}/" in file]
            why = f" (the first {reasons[0]})" if reasons else ""
            raise UserError(
                f"{path}: class {name} holds no readable {noun} for training{why}; add some, or "
                "leave it out"
            )


def check_own_parts(listed: Listed) -> None:
    """Raises UserError if a part that the data name themselves lacks a class or label."""
    noun = "class" if one_class_each(listed.target) else "label"
    for part in ("validation", "test"):
        texts = {row.label for row in listed.candidates if row.part == part}
        there = {name for text in texts for name in label_meaning.separate(text)}
        missing = [name for name in listed.class_names if name not in there]
        if texts and missing:
            raise UserError(empty_classes.of_own_part(missing[0], part, noun))


def held_apart(
    files: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    examples: Mapping[str, int],
    group: str | None,
) -> tuple[str | None, list[str], list[str]]:
    """The value of `preprocess.group`, the names of the groups in each row, and a remark.

    If it is not set, it is the column that says what must stay in one split, or None if that has
    too few values for the splits to be made. `files` and `columns` are of what is not for the
    test, `examples` the number in each part. Raises UserError for a `group` that fits no file.
    """
    if group is not None:
        return group, groups.distinct(groups.of_files(files, columns, group)), []
    group = held_together([*columns])
    if group is None:
        return None, [], []
    made = 3 - len({"validation", "test"} & {part for part, count in examples.items() if count})
    names = groups.distinct(columns[group])
    values = len(set(names))
    if values >= made:
        return group, names, []
    remark = (
        f"the column {group} has {counted(values, 'value')}, too few to keep each in one split; "
        "the accuracy will say nothing about new ones"
    )
    return None, [], [remark]


def groups_of_class(pairs: Iterable[tuple[object, object]]) -> int:
    """How many groups hold the class that the fewest hold; `pairs` are groups and classes."""
    return min(Counter(label for _, label in set(pairs)).values(), default=0)


def left_out(left_out: dict[str, str], faults: dict[str, str], noun: str) -> list[str]:
    """How many files are not used, which, and why."""
    lines = left_out_by_reason(left_out)
    if faults:
        file, reason = next(iter(faults.items()))
        lines.append(f"{counted(len(faults), noun)} cannot be read, such as {file}: it {reason}")
    return lines
