"""What is known of a user's data before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.config.params import NONE
from pipeline.files.artifacts import Array
from pipeline.files.reports.folds import FOLDS
from pipeline.process.errors import UserError
from pipeline.process.words import counted

# Whoever names one of these datasets has data of their own. The others come with the project.
SURVEYED = ("npz", "image_folder", "image_list", "audio_folder", "series_folder")


@dataclass(frozen=True)
class Given:
    """What a user says of data that are surveyed.

    `other` holds pictures that are none of the classes. `number` is the column with the
    numbers to predict, in this `unit`. `rate` is that of recordings which do not say it, in Hz.
    `group` is `preprocess.group`, if that is set. `labels` is the list of recordings.
    """

    other: str = NONE
    number: str | None = None
    unit: str | None = None
    rate: float | None = None
    group: str | None = None
    labels: str = "labels.csv"


NOTHING = Given()
THOUSANDS = 1000
LARGEST_FLOAT16 = 65_504
LEAST_FLOAT16 = 1e-4  # deviation of numbers below which the weights of float16 become coarse
# Deviations from zero at which float16 and int8 still tell numbers apart. TensorFlow Lite counts
# the steps of int8 from zero on.
FLOAT16_REACH, INT8_REACH = 100, 25
FAR = 10  # interquartile ranges beyond the quartiles: prices and incomes are nearer


def plain(number: float) -> str:
    """A number without an exponent."""
    return f"{number:,.0f}" if abs(number) >= THOUSANDS else f"{number:.4g}"


@dataclass(frozen=True)
class NumberRange:
    """The numbers to predict, without those of the test set.

    `deviation` is their mean absolute deviation from their mean, which is the error of always
    answering the mean.
    """

    unit: str
    low: float
    high: float
    deviation: float
    far: tuple[float, ...] = ()  # those that FAR tells from all others

    @property
    def largest(self) -> float:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high))

    @property
    def fits_float16(self) -> bool:
        """Whether weights in float16 give such numbers without a loss to speak of."""
        reach = min(LARGEST_FLOAT16, FLOAT16_REACH * self.deviation)
        return self.largest < reach and self.deviation >= LEAST_FLOAT16

    @property
    def fits_int8(self) -> bool:
        """Whether the steps of int8 are small beside the differences of the numbers."""
        return self.largest < INT8_REACH * self.deviation and self.deviation >= LEAST_FLOAT16

    @classmethod
    def of(cls, numbers: Array, unit: str | None) -> NumberRange:
        """Of `numbers` (N,). Raises UserError if they are all equal."""
        values = numbers.astype(np.float64)
        if not len(values) or values.min() == values.max():
            raise UserError(
                f"the data hold {counted(len(np.unique(values)), 'different number')}; expected "
                "at least 2"
            )
        deviation = float(np.abs(values - values.mean()).mean())
        low, high = np.quantile(values, (0.25, 0.75))
        is_far = (values < low - FAR * (high - low)) | (values > high + FAR * (high - low))
        far = tuple(values[is_far & (low < high)].tolist())
        return cls(unit or "units", float(values.min()), float(values.max()), deviation, far)


@dataclass(frozen=True)
class Survey:
    """What the data are, as far as a look at some of the files tells."""

    values: dict[str, object]  # dataset.name, path, other, and labels of a list
    class_names: list[str]
    examples: dict[str, int]  # of each part: train, validation, test
    counts: dict[str, int]  # of each class or label, in training and validation
    kind: str = "pixels"
    target: str = "classes"
    number: NumberRange | None = None  # for the target of this name
    size: tuple[int, ...] | None = None  # of an input, if they are arrays or windows
    highest: int = 255
    side: int = 0  # the median of the shorter sides of pictures
    colour: bool = False
    opened: int = 0  # examples that were looked at
    group: str | None = None
    groups: int = 0  # how many there are in training and validation; 0: no group is known
    groups_of_class: int = 0  # that hold the class which the fewest of them hold
    folds: int = FOLDS  # that the groups outside the test set allow
    rate: float = 0  # Hz of sensors, and of sounds: one in twenty files has less
    seconds: float = 0.0  # of windows, and of sounds: one in twenty files is longer
    cut: str = field(default="a window", compare=False)  # why windows have that length
    channels: tuple[str, ...] = ()  # of sensors
    is_sorted: bool = False  # by class, so that in this order a part would lack one
    remarks: list[str] = field(default_factory=list)
    ungrouped: list[str] = field(default_factory=list)  # remarks while preprocess.group is null

    @property
    def is_of_sensors(self) -> bool:
        """Whether the examples are windows that were cut from recordings."""
        return self.values.get("name") == "series_folder"
