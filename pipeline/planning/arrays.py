"""What the arrays of an npz are: their kind, and how many there are of each class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.config.params import Dataset
from pipeline.config.parts import declared, is_number, one_class_each
from pipeline.datasets import Raw, npz
from pipeline.datasets.reading import image_arrays, label_columns, label_meaning
from pipeline.files.artifacts import Array
from pipeline.files.splits import has_one_of_each
from pipeline.planning import media_files
from pipeline.planning.data import Given, NumberRange, Survey
from pipeline.planning.parts import Parts, folds, parts
from pipeline.process.errors import UserError
from pipeline.reporting import split_notes

MOST_CLASSES = 20  # that floats may stand for
SORTED = (
    "in the order of the data a part would lack a class, so the splits do not keep it; if several "
    "series are of one person or machine, say so with NAME_train and preprocess.group, or the "
    "accuracy will say nothing about new ones"
)


def survey(path: Path, given: Given) -> Survey:
    """Looks at the arrays of an npz. Raises UserError."""
    if given.number:
        raise UserError(
            f"--number is {given.number}, which names a column of a CSV; an npz holds the "
            "numbers as y_train, so leave --number out"
        )
    values: dict[str, object] = {"name": "npz", "path": str(path), "other": given.other}
    raw = npz.load(Dataset.model_validate(values))
    examples = {"train": len(raw.train_labels), "test": len(raw.test_labels)}
    size = tuple(raw.train_images.shape[1:])
    is_pictures = declared("inputs", raw.kind)["IMAGES"]
    files = [""] * len(raw.train_labels)  # an array has none
    group, names, too_few = media_files.held_apart(files, raw.train_columns, examples, given.group)
    classes = raw.train_labels.tolist() if one_class_each(raw.target) else [""] * len(names)
    data = Survey(
        values=values,
        class_names=raw.class_names,
        examples={part: count for part, count in examples.items() if count},
        counts=_counts(path, raw),
        kind=raw.kind,
        target=raw.target,
        number=NumberRange.of(raw.train_labels, given.unit) if is_number(raw.target) else None,
        size=size,
        highest=raw.highest,
        side=min(size[:2]) if is_pictures else 0,
        colour=is_pictures and size[-1] == 3,
        opened=len(raw.train_labels),
        group=group,
        groups=len(set(names)),
        groups_of_class=media_files.groups_of_class(zip(names, classes, strict=False)),
        folds=folds(names, classes, examples["test"] > 0),
        remarks=[*_like_images(raw), *_turned(raw), *_like_classes(raw), *_joined(raw), *too_few],
    )
    if not declared("inputs", raw.kind)["AXES"] or not _is_sorted(raw, parts(data)):
        return data
    return replace(data, is_sorted=True, remarks=[*data.remarks, SORTED])


def _is_sorted(raw: Raw, sizes: Parts) -> bool:
    """Whether a part would lack a class, if they followed each other in the order of the data."""
    if not has_one_of_each(raw.target):
        return False
    ends = [sizes.train, sizes.train + sizes.validation]
    count = _distinct(raw.train_labels)
    class_counts = [_distinct(part) for part in np.split(raw.train_labels, ends) if len(part)]
    return min(class_counts, default=count) < count


def _distinct(labels: Array) -> int:
    """How many classes there are, or how many of several labels some example has."""
    return int(labels.any(0).sum()) if labels.ndim > 1 else len(np.unique(labels))


def _like_images(raw: Raw) -> list[str]:
    """What to do if arrays that are taken for series or ids are images, or images are dark."""
    values, part = raw.train_images, declared("inputs", raw.kind)
    if part["IMAGES"]:
        return split_notes.dark(int(values.max(initial=0)))
    if not image_arrays.could_be(values):
        return []
    axes = "{} measurements over time from {} sensors" if part["AXES"] else "{} words or other ids"
    return [
        f"x_train is taken for {axes.format(*values.shape[1:])}"
        f"{image_arrays.cure('x_train', values)}"
    ]


def _turned(raw: Raw) -> list[str]:
    """What to do if the channels of series may come before the steps."""
    if not declared("inputs", raw.kind)["AXES"]:
        return []
    steps, channels = raw.train_images.shape[1:]
    if steps >= channels:
        return []
    return [
        f"x_train is taken for {steps} steps of {channels} channels; if it holds {channels} steps "
        f"of {steps} channels, store x_train.transpose(0, 2, 1)"
    ]


def _like_classes(raw: Raw) -> list[str]:
    """What to do if floats that are taken for a number are those of classes."""
    labels = raw.train_labels
    if not is_number(raw.target) or np.any(labels % 1) or len(np.unique(labels)) > MOST_CLASSES:
        return []
    return ["y_train holds floats, so a number is predicted; if they are classes, store integers"]


def _joined(raw: Raw) -> list[str]:
    """What to do if texts that are taken for classes join several labels."""
    joint = label_columns.joined_name(raw.class_names) if one_class_each(raw.target) else None
    if joint is None:
        return []
    return [
        f"the class {joint} joins names of other classes; if an example may have several labels at "
        "once, store y_train as 0 and 1, (N, K), with class_names"
    ]


def _counts(path: Path, raw: Raw) -> dict[str, int]:
    """How many training examples have each class, or each of several labels. Raises UserError."""
    labels, names = raw.train_labels, raw.class_names
    if len(raw.train_images) != len(labels):
        raise UserError(
            f"{path}: x_train has {len(raw.train_images)} examples and y_train {len(labels)} "
            "labels; expected as many"
        )
    if not one_class_each(raw.target):
        return label_meaning.counts(raw.target, labels, names)
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= len(names):
        raise UserError(
            f"{path}: y_train goes from {labels.min()} to {labels.max()}; expected 0 to "
            f"{len(names) - 1}, as there are {len(names)} classes"
        )
    counts = label_meaning.counts(raw.target, labels, names)
    empty = [name for name, count in counts.items() if not count]
    if empty == ["0"]:
        raise UserError(
            f"{path}: y_train goes from 1 to {labels.max()}; expected numbers from 0, or texts, "
            f"such as y_train.astype(str); {npz.FLOATS}"
        )
    if empty:
        floats = f"; {npz.FLOATS}" * all(map(str.isdecimal, names))
        raise UserError(
            f"{path}: class {empty[0]} has no example in x_train; expected some{floats}"
        )
    if len(names) < 2:
        raise UserError(f"{path}: y_train has one class; expected at least two")
    return counts
