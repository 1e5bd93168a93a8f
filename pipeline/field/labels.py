"""How well each of several labels is found in the field, beside the test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.field import comparison
from pipeline.files.artifacts import Array
from pipeline.files.reports.field import FieldLabel, LabelScore
from pipeline.reporting import statistics
from pipeline.targets import Counts
from serving.reference import Reference


def judge(counts: Counts, expected: Reference, names: Sequence[str]) -> list[FieldLabel]:
    """The figures of each label, and whether its F1 is lower than in the test.

    F1 is 2 s / (1 + s), where s is the share of hits among hits, misses and false alarms. So the
    exact test of s, Fisher's, is one of F1; p-values are adjusted after Holm.
    """
    test = Counts(*(np.array(getattr(expected, key)) for key in ("images", "predicted", "right")))
    unions, tested = union(counts), union(test)
    rows = [row for row in range(len(names)) if unions[row] and tested[row]]
    p_values = [
        comparison.p_value_of_decline(
            int(counts.right[row]), int(unions[row]), int(test.right[row]), int(tested[row])
        )
        for row in rows
    ]
    adjusted = dict(zip(rows, comparison.holm(p_values), strict=True))
    mistakes = unions - counts.right
    return [
        FieldLabel(
            label=name,
            field=score(counts, row),
            test=score(test, row),
            p_value=adjusted.get(row),
            suffers=adjusted.get(row, 1.0) < comparison.SIGNIFICANCE
            and bool(mistakes[row] >= comparison.FEWEST_MISTAKES),
        )
        for row, name in enumerate(names)
    ]


def union(counts: Counts) -> Array:
    """The examples (K,) that have a label or are given it."""
    result: Array = counts.images + counts.predicted - counts.right
    return result


def score(counts: Counts, row: int) -> LabelScore:
    """The figures of one label; None where nothing was counted."""
    right, either = int(counts.right[row]), int(union(counts)[row])
    images, predicted = int(counts.images[row]), int(counts.predicted[row])
    ends = _interval(right, either)
    return LabelScore(
        images=images,
        predicted=predicted,
        right=right,
        precision=right / predicted if predicted else None,
        precision_interval=_interval(right, predicted),
        recall=right / images if images else None,
        recall_interval=_interval(right, images),
        f1=2 * right / (images + predicted) if either else None,
        f1_interval=ends and (_f1(ends[0]), _f1(ends[1])),
    )


def _interval(right: int, total: int) -> tuple[float, float] | None:
    """The exact 95 % interval of a share."""
    return statistics.accuracy_interval(right, total) if total else None


def _f1(share: float) -> float:
    return 2 * share / (1 + share)
