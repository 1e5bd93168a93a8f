"""The accuracy of a recipe, from examples that the models of several folds had never seen."""

from __future__ import annotations

from pipeline.files.artifacts import Array
from pipeline.files.reports.evaluate import FoldScore
from pipeline.reporting import statistics
from pipeline.reporting.tables import interval, percent


def score(folds: int, right: Array, groups: Array | None) -> FoldScore:
    """`right` (N,) says which examples are answered right, `groups` (N,) which belong together."""
    hits = int(right.sum())
    bounds = statistics.accuracy_interval(hits, len(right))
    if groups is not None:
        # Examples of a group are alike, so they say less than as many independent ones.
        ends = zip(bounds, statistics.clustered_interval(right, groups), strict=True)
        (low, low_of_groups), (high, high_of_groups) = ends
        bounds = min(low, low_of_groups), max(high, high_of_groups)
    return FoldScore(
        folds=folds, images=len(right), right=hits, accuracy=hits / len(right), interval=bounds
    )


def sentence(score: FoldScore) -> str:
    return (
        f"The accuracy is from {score.folds} folds: models trained by the same recipe answer "
        f"{percent(score.accuracy)} (95 % interval {interval(score.interval)}) of "
        f"{score.images:,} examples right that they never saw. It is a figure of the recipe, not "
        "of this very model."
    )
