"""What recordings of sensors are, and how `series_cnn` learns from their windows.

The training is that of docs/series.md, which was measured on seven exercises of ten people.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.config.params import NONE, Dataset
from pipeline.config.parts import is_number
from pipeline.datasets import Raw, series_folder
from pipeline.datasets.reading import label_meaning
from pipeline.datasets.reading.names_of_files import label_of_name
from pipeline.datasets.reading.recording_columns import held_together
from pipeline.files import groups as example_groups
from pipeline.files.artifacts import Array
from pipeline.files.raw import FILE, RECORDING
from pipeline.planning import media_files, named_folders, sampling, speakers
from pipeline.planning.choice import Choice
from pipeline.planning.data import NOTHING, Given, NumberRange, Survey
from pipeline.planning.kinds import Recipe
from pipeline.planning.parts import folds
from pipeline.process.errors import UserError
from pipeline.process.words import counted

SPLITS = 3  # training, validation and test set, each with recordings of its own
SLOW = 1.0  # Hz
UNKNOWN = (
    "nothing says who or what was recorded; if several recordings are of one person or machine, "
    "set preprocess.group, or the accuracy will say nothing about new ones"
)


def survey(path: Path, given: Given = NOTHING, dataset: Dataset | None = None) -> Survey:
    """Cuts all recordings below `path` into windows, as `dataset` says. Raises UserError."""
    values: dict[str, object] = {"name": "series_folder", "path": str(path), "other": NONE}
    values |= {"labels": given.labels}
    values |= {"number": given.number} if given.number else {}
    plan = sampling.plan(path, given) if dataset is None else sampling.Plan({}, "a window")
    read = dataset or Dataset.model_validate({**values, **plan.values})
    raw = series_folder.load(read)
    assert raw.series is not None
    options = read.options(series_folder.Options)
    named, group, names = (None, given.group, []) if given.group else _groups(raw)
    together, labels = _together(raw, group).tolist(), _labels(raw)
    values |= {"columns": options.columns} if options.columns else {}
    values |= {"gaps": options.gaps} if options.gaps != "split" else {}
    return Survey(
        values=values,
        class_names=raw.class_names,
        examples=_examples(raw),
        counts=label_meaning.counts(raw.target, raw.train_labels, raw.class_names),
        kind="series",
        target=raw.target,
        number=NumberRange.of(raw.train_labels, given.unit) if is_number(raw.target) else None,
        size=tuple(raw.train_images.shape[1:]),
        opened=len(raw.train_labels),
        group=group,
        groups=len(set(together)),
        groups_of_class=media_files.groups_of_class(zip(together, labels, strict=True)),
        folds=folds(together, labels, len(raw.test_labels) > 0),
        rate=options.rate,
        seconds=options.seconds,
        cut=plan.reason,
        channels=tuple(raw.series["channels"]),
        remarks=[
            f"channels: {', '.join(raw.series['channels'])}; set dataset.columns for others",
            *plan.remarks,
            *_named(raw),
            *([] if group in speakers.NAMES else named_folders.remarks(_labelled(raw))),
            *(speakers.remarks(group, names) if names else []),
            *([] if group or not named else [_too_few(named)]),
            *_slow(options.rate),
            *_in_few(path, raw, group),
        ],
        ungrouped=[] if group or named else [UNKNOWN],
    )


def _groups(raw: Raw) -> tuple[str | None, str | None, list[str]]:
    """The column that says who was recorded, the value of `preprocess.group`, and names in files.

    The names of files are looked at only without such a column. With too few values of it, or
    too few names, there is no group.
    """
    column = held_together([*raw.train_columns])
    if column is None:
        return None, *_by_file(raw)
    return column, column if _are_enough(raw, column) else None, []


def _examples(raw: Raw) -> dict[str, int]:
    """The windows of each part that has some."""
    validation = 0 if raw.validation is None else len(raw.validation)
    counts = {
        "train": len(raw.train_labels) - validation,
        "validation": validation,
        "test": len(raw.test_labels),
    }
    return {part: count for part, count in counts.items() if count}


def _labels(raw: Raw) -> list[str]:
    """The class of each window; an empty one beside a number."""
    if is_number(raw.target):
        return [""] * len(raw.train_labels)
    return [raw.class_names[label] for label in raw.train_labels]


def _labelled(raw: Raw) -> list[tuple[str, str]]:
    """The files with their labels."""
    return sorted(set(zip(raw.train_columns[FILE], _labels(raw), strict=True)))


def _named(raw: Raw) -> list[str]:
    """Whether the labels are from the names of the files, or of a folder for each."""
    if is_number(raw.target):
        return []
    labels, files = _labels(raw), raw.train_columns[FILE]
    folders = [Path(file).parent.name for file in files]
    for what, names in (("files", files), ("folders", folders)):
        are_names = [label_of_name(name) for name in names] == labels
        if are_names and set(folders).isdisjoint(raw.class_names):
            return [
                f"the names of the {what} are taken for labels, such as {labels[0]} of {names[0]}; "
                "if they say something else, add a column label, or a list"
            ]
    return []


def _slow(rate: float) -> list[str]:
    if rate >= SLOW:
        return []
    return [
        f"there is a row every {1 / rate:.3g} seconds; if the times are milliseconds, call their "
        "column time_ms, and time_us if they are microseconds"
    ]


def _by_file(raw: Raw) -> tuple[str | None, list[str]]:
    """The expression that finds who was recorded in the paths of files, and the names."""
    group, names = speakers.find(_labelled(raw))
    return (group, names) if group and _are_enough(raw, group) else (None, [])


def _are_enough(raw: Raw, group: str) -> bool:
    return len(raw.test_labels) > 0 or len(np.unique(_together(raw, group))) >= SPLITS


def _too_few(group: str) -> str:
    return (
        f"the column {group} has fewer than {SPLITS} values, too few to keep each in one split; "
        "the accuracy will say nothing about new ones"
    )


def _in_few(path: Path, raw: Raw, group: str | None) -> list[str]:
    """Classes that cannot be in each split, as their windows belong together. Raises UserError."""
    if len(raw.test_labels):
        return []
    together = _together(raw, group)
    what = "recording" if group is None else group if group in raw.train_columns else "group"
    if len(np.unique(together)) < SPLITS:
        raise UserError(
            f"{path} holds {counted(len(np.unique(together)), what)}, and training, validation and "
            f"test set must not share one; expected at least {SPLITS}: more files, or a column "
            "such as session that changes where another recording begins"
        )
    labels = np.array(_labels(raw))
    few = [
        label
        for label in np.unique(labels).tolist()
        if len(np.unique(together[labels == label])) < SPLITS
    ]
    if not few:
        return []
    where = f"fewer than {SPLITS} values of {group}" if group else f"fewer than {SPLITS} recordings"
    return [f"too few for every split, in {where}: {', '.join(few[:5])}"]


def _together(raw: Raw, group: str | None) -> Array:
    """Numbers (N,) of the windows that stay in one split."""
    recordings = raw.train_columns[RECORDING]
    if group is None:
        return example_groups.of_names(recordings)
    names = example_groups.of_files(raw.train_columns[FILE], raw.train_columns, group)
    return example_groups.connected(names, recordings)


def dataset(data: Survey) -> list[Choice]:
    """`dataset.rate` and how recordings are cut."""
    return [
        Choice("dataset.rate", data.rate, "Hz of most recordings; others are left out"),
        Choice("dataset.seconds", data.seconds, data.cut),
        Choice("dataset.step", data.seconds / 2, "half a window"),
    ]


def augmentation(data: Survey) -> Choice:
    """Turned axes, if the channels are axes in threes, such as ax, ay, az."""
    key = "train.augmentation"
    if data.number:
        return Choice(key, [], "with its axes turned, a window may mean another number")
    if [name[-1].lower() for name in data.channels] != [*"xyz"] * (len(data.channels) // 3):
        return Choice(key, [], "no preset fits: the channels are not x, y, z axes")
    turn = {"class_name": "RandomTurn", "config": {"degrees": 12}}
    reason = "nobody wears a sensor exactly as another; [] if it is screwed on"
    return Choice(key, [turn], reason)


RECIPE = Recipe(500, 0.005, dataset, augmentation)
