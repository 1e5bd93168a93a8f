"""Precision, recall and F1 of each class, in figures and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.files.reports.evaluate import (
    ClassScore,
)
from pipeline.process.words import percent
from pipeline.reporting import statistics
from pipeline.reporting.tables import listed
from pipeline.targets import Counts

if TYPE_CHECKING:
    from serving.model_card import ModelCard


def per_class(counts: Counts, class_names: Sequence[str]) -> dict[str, ClassScore]:
    """Precision, recall and F1 of each class; 0 if the class was never predicted or never seen."""
    precision = counts.right / np.maximum(counts.predicted, 1)
    recall = counts.right / np.maximum(counts.images, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    intervals = statistics.accuracy_intervals(counts.right, counts.images)
    columns = zip(
        class_names,
        counts.images.tolist(),
        precision.tolist(),
        recall.tolist(),
        map(tuple, intervals.tolist()),
        f1.tolist(),
        strict=True,
    )
    return {
        name: ClassScore(images=n, precision=p, recall=r, recall_interval=i, f1=f)
        for name, n, p, r, i, f in columns
    }


def never_predicted(counts: Counts, class_names: Sequence[str]) -> list[str]:
    """The names that some example has and no answer gives."""
    missing = np.flatnonzero((counts.images > 0) & (counts.predicted == 0))
    return [class_names[int(number)] for number in missing]


def scores_in_words(scores: dict[str, ClassScore]) -> str:
    recalls = [score.recall for score in scores.values()]
    balanced, macro_f1 = np.mean(recalls), np.mean([score.f1 for score in scores.values()])
    worst = list(scores)[int(np.argmin(recalls))]
    return (
        f"Balanced accuracy, the mean recall of the classes, is {percent(float(balanced))}, "
        f"macro F1 {percent(float(macro_f1))}; the worst recall is {percent(min(recalls))}, "
        f"of {worst!r}."
    )


def hidden(card: ModelCard) -> str:
    """What the accuracy may hide."""
    if card.reference is None:
        return ""
    images, predicted, right = (
        np.array(getattr(card.reference, name)) for name in ("images", "predicted", "right")
    )
    counts = Counts(images, predicted, right)
    never = never_predicted(counts, card.class_names)
    sentence = scores_in_words(per_class(counts, card.class_names))
    return sentence + (f" The model never predicts {listed(never)}." if never else "")
