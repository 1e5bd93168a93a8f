"""What recordings of sensors are, and how `series_cnn` learns from their windows.

The training is that of docs/series.md, which was measured on seven exercises of ten people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.config.params import NONE, Dataset
from pipeline.datasets import Raw, _recording_files, series_folder
from pipeline.datasets._recording_columns import LABELS, held_together
from pipeline.datasets._recordings import Listed
from pipeline.datasets._windows import Block, Recording, RecordingError
from pipeline.files import groups as example_groups
from pipeline.files.artifacts import Array
from pipeline.files.raw import RECORDING
from pipeline.planning.choice import Choice
from pipeline.planning.data import NOTHING, Given, Survey
from pipeline.planning.kinds import Recipe
from pipeline.process.errors import UserError
from pipeline.process.words import counted

SECONDS, FEWEST_ROWS = 2.0, 32  # of a window
SPLITS = 3  # training, validation and test set, each with recordings of its own
LONGEST_EVENT = 5.0  # seconds of recordings that were cut to what they show
SHORT, LONG = 0.1, 0.95  # quantiles of the lengths
SAMPLE = 200  # recordings whose lengths are looked at
SLOW = 1.0  # Hz
WIDE = 20  # columns of numbers, from which a row may be an example
UNKNOWN = (
    "nothing says who or what was recorded; if several recordings are of one person or machine, "
    "set preprocess.group, or the accuracy is that for those it knows"
)


def survey(path: Path, given: Given = NOTHING, dataset: Dataset | None = None) -> Survey:
    """Cuts all recordings below `path` into windows, as `dataset` says. Raises UserError."""
    values = {"name": "series_folder", "path": str(path), "other": NONE}
    cut, reason = _windows(path, given.rate) if dataset is None else ({}, "a window")
    read = dataset or Dataset.model_validate({**values, **cut})
    raw = series_folder.load(read)
    assert raw.series is not None
    options = read.options(series_folder.Options)
    columns = raw.train_columns
    named = held_together([*columns])
    group = named if named and _are_enough(raw, named) else None
    validation = 0 if raw.validation is None else len(raw.validation)
    examples = {
        "train": len(raw.train_labels) - validation,
        "validation": validation,
        "test": len(raw.test_labels),
    }
    counts = np.bincount(raw.train_labels, minlength=len(raw.class_names)).tolist()
    return Survey(
        values=dict(values),
        class_names=raw.class_names,
        examples={part: count for part, count in examples.items() if count},
        counts=dict(zip(raw.class_names, counts, strict=True)),
        kind="series",
        size=tuple(raw.train_images.shape[1:]),
        opened=len(raw.train_labels),
        group=group,
        groups=len(set(columns[group or RECORDING])),
        rate=options.rate,
        seconds=options.seconds,
        cut=reason,
        channels=tuple(raw.series["channels"]),
        remarks=[
            f"channels: {', '.join(raw.series['channels'])}; set dataset.columns for others",
            *([] if group else [_too_few(named) if named else UNKNOWN]),
            *_slow(options.rate),
            *_in_few(path, raw, group),
        ],
    )


def _slow(rate: float) -> list[str]:
    if rate >= SLOW:
        return []
    return [
        f"there is a row every {1 / rate:.3g} seconds; if the times are milliseconds, call their "
        "column time_ms"
    ]


def _are_enough(raw: Raw, group: str) -> bool:
    return len(raw.test_labels) > 0 or len(np.unique(_together(raw, group))) >= SPLITS


def _too_few(group: str) -> str:
    return (
        f"the column {group} has fewer than {SPLITS} values, too few to keep each in one split; "
        "the accuracy will be that for those it knows"
    )


def _in_few(path: Path, raw: Raw, group: str | None) -> list[str]:
    """Classes that cannot be in each split, as their windows belong together. Raises UserError."""
    if len(raw.test_labels):
        return []
    together, what = _together(raw, group), group or "recording"
    if len(np.unique(together)) < SPLITS:
        raise UserError(
            f"{path} holds {counted(len(np.unique(together)), what)}, and training, validation and "
            f"test set must not share one; expected at least {SPLITS}: more files, or a column "
            "such as session that changes where another recording begins"
        )
    few = [
        raw.class_names[label]
        for label in np.unique(raw.train_labels)
        if len(np.unique(together[raw.train_labels == label])) < SPLITS
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
    names = example_groups.distinct(raw.train_columns[group])
    return example_groups.connected(names, recordings)


def dataset(data: Survey) -> list[Choice]:
    """`dataset.rate` and how recordings are cut."""
    return [
        Choice("dataset.rate", data.rate, "Hz of the first recording; others are left out"),
        Choice("dataset.seconds", data.seconds, data.cut),
        Choice("dataset.step", data.seconds / 2, "half a window"),
    ]


def _windows(path: Path, rate: float | None) -> tuple[dict[str, float], str]:
    """The rate of the recordings and how to cut them, and why. Raises UserError."""
    rate = rate or _rate(path)
    rows = max(round(SECONDS * rate), FEWEST_ROWS)
    most = max(round(LONGEST_EVENT * rate), rows) + 1
    looked_at = [*islice(_lengths(path, most), SAMPLE)] or [(0, True)]
    lengths = np.array([length for length, _ in looked_at])
    longest = int(np.quantile(lengths, LONG, method="higher"))
    are_events = longest <= LONGEST_EVENT * rate and all(has_one for _, has_one in looked_at)
    reason = "a window; what you look for should fit into it"
    if are_events and len(lengths) > 1 and lengths.min() == longest:
        rows, reason = longest, "all of a recording, as they are of one length"
    elif (short := int(np.quantile(lengths, SHORT, method="lower"))) < rows:
        rows = max(longest if are_events else short, 2)
        how_many = "only one of twenty is longer" if are_events else "nine of ten are as long"
        reason = f"{how_many}; a shorter recording is held at its last row"
    seconds = float(f"{rows / rate:.6g}")
    return {"rate": rate, "seconds": seconds, "step": seconds / 2}, reason


def _lengths(path: Path, most: int) -> Iterator[tuple[int, bool]]:
    """The rows of each recording, of which at most about `most` are read; has it one label?"""
    for row, recording in _recordings(path):
        count, labels = 0, 0
        for block in recording.blocks:
            count += len(block.values)
            labels += sum(name in block.text for name in LABELS)
            if count >= most:
                break
        yield min(count, most), row.spans is None and not labels


def _recordings(
    path: Path, faults: dict[str, str] | None = None
) -> Iterator[tuple[Listed, Recording]]:
    """All that can be read; `faults` then has the reasons why others cannot."""
    with series_folder.opened(path, series_folder.Options().labels) as (rows, open_file, _):
        for row in rows:
            try:
                with open_file(row.file) as file:
                    for recording in _recording_files.recordings(file, row.file):
                        blocks = _readable(recording.blocks, row.file, faults)
                        yield row, replace(recording, blocks=blocks)
            except (RecordingError, OSError) as error:
                if faults is not None:
                    faults[row.file] = str(error)


def _readable(blocks: Iterator[Block], file: str, faults: dict[str, str] | None) -> Iterator[Block]:
    """The blocks before a fault, which is kept."""
    try:
        yield from blocks
    except RecordingError as error:
        if faults is not None:
            faults[file] = str(error)


def _rate(path: Path) -> float:
    """Hz of the first recording that says it. Raises UserError if none does."""
    faults: dict[str, str] = {}
    channels: tuple[str, ...] = ()
    for _, recording in _recordings(path, faults):
        channels = recording.channels
        if rate := recording.rate or _by_time(recording):
            return float(f"{rate:.3g}")
    if faults:
        file, reason = next(iter(faults.items()))
        what = "says how many rows a second has" if channels else "can be read"
        raise UserError(f"{path} holds no recording that {what}: {file} {reason}")
    table = "; if each row is an example of its own, store them as x_train (N, T, C) of an npz"
    raise UserError(
        f"{path} holds recordings that do not say how many rows a second has; add --rate 50, if "
        f"it is 50, or a column time, in seconds{table if len(channels) >= WIDE else ''}"
    )


def _by_time(recording: Recording) -> float | None:
    times = next((block.times for block in recording.blocks), None)
    if times is None or len(times) < 2:
        return None
    middle = float(np.median(np.diff(times)))
    return 1 / middle if middle > 0 else None


def augmentation(data: Survey) -> Choice:
    """Turned axes, if the channels are axes in threes, such as ax, ay, az."""
    key = "train.augmentation"
    if [name[-1].lower() for name in data.channels] != [*"xyz"] * (len(data.channels) // 3):
        return Choice(key, [], "none of ours is for your channels, which are no axes x, y, z")
    turn = {"class_name": "RandomTurn", "config": {"degrees": 12}}
    reason = "nobody wears a sensor exactly as another; [] if it is screwed on"
    return Choice(key, [turn], reason)


RECIPE = Recipe(500, 0.005, dataset, augmentation)
