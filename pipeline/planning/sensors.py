"""What recordings of sensors are, and how `series_cnn` learns from their windows.

The training is that of docs/series.md, which was measured on seven exercises of ten people.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from pipeline.config.params import NONE, Dataset
from pipeline.datasets import _recording_files, series_folder
from pipeline.datasets._windows import Recording, RecordingError
from pipeline.files.raw import RECORDING
from pipeline.planning.choice import Choice
from pipeline.planning.data import HELD_TOGETHER, Survey
from pipeline.process.errors import UserError

SECONDS, FEWEST_ROWS = 2.0, 32  # of a window
FEW_WINDOWS = 1000  # for training
STEPS = 500
LEARNING_RATE = 0.005
UNKNOWN = (
    "nothing says who or what was recorded; if several recordings are of one person or machine, "
    "set preprocess.group, or the accuracy is that for those it knows"
)


def survey(path: Path, given: Dataset | None = None) -> Survey:
    """Cuts all recordings below `path` into windows, as `given` says. Raises UserError."""
    values = {"name": "series_folder", "path": str(path), "other": NONE}
    read = given or Dataset.model_validate({**values, **_windows(path)})
    raw = series_folder.load(read)
    assert raw.series is not None
    cut = read.options(series_folder.Options)
    columns = raw.train_columns
    group = next((name for name in columns if name.removesuffix("_id") in HELD_TOGETHER), None)
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
        rate=cut.rate,
        seconds=cut.seconds,
        channels=tuple(raw.series["channels"]),
        remarks=[] if group else [UNKNOWN],
    )


def dataset(data: Survey) -> list[Choice]:
    """`dataset.rate` and how recordings are cut."""
    return [
        Choice("dataset.rate", data.rate, "Hz of the first recording; others are left out"),
        Choice("dataset.seconds", data.seconds, "a window; what you look for should fit into it"),
        Choice("dataset.step", data.seconds / 2, "half a window"),
    ]


def _windows(path: Path) -> dict[str, float]:
    """The rate of the first recording, and windows of SECONDS, or longer at a low rate."""
    rate = _rate(path)
    seconds = SECONDS if rate * SECONDS >= FEWEST_ROWS else float(f"{FEWEST_ROWS / rate:.2g}")
    return {"rate": rate, "seconds": seconds, "step": seconds / 2}


def _rate(path: Path) -> float:
    """Hz of the first recording that says it. Raises UserError if none does."""
    with series_folder.opened(path, series_folder.Options().labels) as (rows, open_file, _):
        for row in rows:
            with suppress(RecordingError, OSError), open_file(row.file) as file:
                for recording in _recording_files.recordings(file, row.file):
                    if rate := recording.rate or _by_time(recording):
                        return float(f"{rate:.3g}")
    raise UserError(
        f"{path} holds recordings that do not say how many rows a second has; add a column time, "
        "in seconds, or write dataset.name: series_folder and dataset.rate into params.yaml"
    )


def _by_time(recording: Recording) -> float | None:
    times = next((block.times for block in recording.blocks), None)
    if times is None or len(times) < 2:
        return None
    middle = float(np.median(np.diff(times)))
    return 1 / middle if middle > 0 else None


def batch(examples: int) -> int:
    return 32 if examples < FEW_WINDOWS else 64


def augmentation(data: Survey) -> Choice:
    """Turned axes, if the channels are axes in threes, such as ax, ay, az."""
    key = "train.augmentation"
    if [name[-1].lower() for name in data.channels] != [*"xyz"] * (len(data.channels) // 3):
        return Choice(key, [], "none of ours is for your channels, which are no axes x, y, z")
    turn = {"class_name": "RandomTurn", "config": {"degrees": 12}}
    reason = "nobody wears a sensor exactly as another; [] if it is screwed on"
    return Choice(key, [turn], reason)
