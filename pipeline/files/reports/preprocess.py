"""What `preprocess` reports: the contents of the three splits, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section

CHANCE = 0.5


@dataclass(frozen=True)
class Evidence:
    """Counts of examples, and two tests. Shares are fractions 0 to 1."""

    train_images: int
    validation_images: int
    # share of validation with a copy in the training set, exact or near, beyond the share of such
    # pairs within the training set
    copied: float
    copied_p_value: float
    # area under the ROC curve of a classifier of training against validation examples; 0.5 is
    # chance, and the value for groups that are kept apart and for an input that is not compared so
    told_apart: float
    told_apart_p_value: float


class SplitReport(Section):
    """A split: its images in all and of each class, and figures of its kind of input."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int | float | list[float]]

    images: int
    per_class: dict[str, int]
    empty: int  # inputs that say nothing: one flat colour, no id, or no change over time


class Together(Section):
    """Examples that belong together. Copies are files of one picture, exact or near.

    Of those that are `differently_labelled`, one label is probably wrong.

    `groups` counts those of `preprocess.group` in each split; `shared_groups` are in several,
    because the data came in parts.
    """

    copies: list[list[str]]
    differently_labelled: list[list[str]]
    groups: dict[str, int] | None = None
    shared_groups: list[str] | None = None


class Corrected(Section):
    """By split, the labels that preprocess.corrections changed and the examples that it dropped.

    `unused` corrections are of examples that are in no split, or in another than the file says.
    """

    relabelled: dict[str, int]
    dropped: dict[str, int]
    unused: int

    @property
    def sentence(self) -> str:
        def counts(part: dict[str, int]) -> str:
            return ", ".join(f"{count:,} of the {name} set" for name, count in part.items())

        unused = (
            f"; {self.unused:,} are of examples that are in another set than the file says, or in "
            "none, and change nothing"
            if self.unused
            else ""
        )
        return (
            f"labels changed: {counts(self.relabelled)}; examples dropped: "
            f"{counts(self.dropped)}{unused}"
        )


class PreprocessReport(Report):
    """`duplicates` counts images that occur twice: `within_train`, `train_and_test`, ..."""

    PATH: ClassVar = artifacts.REPORTS / "preprocess.json"

    class_names: list[str]
    input_shape: list[int]
    splits: dict[str, SplitReport]
    duplicates: dict[str, int]
    unreadable: list[str]
    evidence: Evidence
    together: Together | None = None  # for photos, and for arrays with groups
    corrected: Corrected | None = None  # if preprocess.corrections names a file
    others: dict[str, int] | None = None  # by split, with dataset.other

    @property
    def leaks(self) -> dict[str, int]:
        """The duplicates in two splits."""
        return {name: count for name, count in self.duplicates.items() if "_and_" in name and count}
