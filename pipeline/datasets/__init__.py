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
    """A dataset as published: inputs, and labels, one for each example.

    `target` names the prediction target, a module of pipeline/targets: `classes`, whose labels are
    integers (N,) from 0; `labels`, 0 or 1 (N, K); or `number`, float32 (N,), whose name is the only
    one of `class_names`. `kind` names the kind of the inputs, a module of pipeline/inputs: images
    (N, H, W, C) uint8, or ids (N, L) int32 from 1 to `highest`, zero-padded. If the dataset has no
    test part, both test arrays are empty (N = 0). For ids, `vocabulary` names them from id 1 on,
    and `examples` are texts of the test part, for clients that encode texts themselves.
    `not_passed_on` says why no data may go into a bundle.

    Photos stay on disk: `pipeline.files.pictures.Pictures` stands in place of an array. Rows (V,)
    of the training part may be named for `validation`. `left_out` says of files that are not used
    why. Columns are what else is known of each example of an array, for `preprocess.group`; that
    named by `group` is the default. `sound` are the parameters of `serving.log_mel`, and `series`
    those of `serving.recording.Sampling`.
    """

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array
    class_names: list[str]
    unreadable: list[str] = field(default_factory=list)
    kind: str = "pixels"
    highest: int = 255
    vocabulary: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    not_passed_on: str | None = None
    target: str = "classes"
    validation: Array | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    train_columns: dict[str, list[str]] = field(default_factory=dict)
    test_columns: dict[str, list[str]] = field(default_factory=dict)
    group: str | None = None
    sound: dict[str, int] | None = None
    series: dict[str, Any] | None = None
