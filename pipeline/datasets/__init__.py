"""One file per dataset, named as in params.yaml: `load(params) -> Raw`.

Keys of the section `dataset` that only this dataset reads are fields of a class `Options`, which
`params.options(Options)` checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.files.artifacts import Array


@dataclass(frozen=True)
class Raw:
    """A dataset as published: inputs, and a label for each example.

    `kind` is a module of pipeline/inputs: `pixels` are (N, H, W, C) uint8, `ids` (N, L) int32 from
    1 to `highest`, zero-padded. `target` is one of pipeline/targets: `classes` are integers (N,)
    from 0, `labels` 0 or 1 (N, K), and a `number` is float32 (N,). Photos stay on disk:
    `pipeline.files.pictures.Pictures` stands in place of an array.
    """

    train_images: Array
    train_labels: Array
    test_images: Array  # empty, as its labels are, if the dataset has no test part
    test_labels: Array
    class_names: list[str]  # of a number, its name alone
    unreadable: list[str] = field(default_factory=list)  # files, by their names
    kind: str = "pixels"
    highest: int = 255
    vocabulary: list[str] = field(default_factory=list)  # the names of ids, from 1 on
    examples: list[str] = field(default_factory=list)  # texts of the test part, for clients
    not_passed_on: str | None = None  # why no data may go into a bundle
    target: str = "classes"
    validation: Array | None = None  # rows (V,) of the training part that the data name for it
    left_out: dict[str, str] = field(default_factory=dict)  # files that are not used, and why
    # What else is known of each example, for preprocess.group
    train_columns: dict[str, list[str]] = field(default_factory=dict)
    test_columns: dict[str, list[str]] = field(default_factory=dict)
    group: str | None = None  # the column that is the default of preprocess.group
    sound: dict[str, int] | None = None  # the parameters of serving.log_mel
    series: dict[str, Any] | None = None  # those of serving.recording.Sampling
