"""How right the answers are in each group, such as on the photos of each camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.reports.evaluate import GroupScore
from pipeline.process.words import percent
from pipeline.reporting import statistics
from pipeline.reporting.tables import interval, listed

SIGNIFICANT = 0.05


def scores(right: Array, group_names: Sequence[str]) -> dict[str, GroupScore]:
    """The score of each group that has a name, the worst first, of equals the largest first.

    `right` (N,) says which examples are answered right, `group_names` (N,) whose they are.
    """
    names, numbers = np.unique(np.array(group_names), return_inverse=True)
    totals, correct = np.bincount(numbers), np.bincount(numbers, right).astype(int)
    columns = zip(
        names.tolist(),
        correct.tolist(),
        totals.tolist(),
        statistics.accuracy_intervals(correct, totals).tolist(),
        behind(correct, totals).tolist(),
        strict=True,
    )
    result = {
        name: GroupScore(
            right=hits, images=images, accuracy=hits / images, interval=(low, high), p_value=p_value
        )
        for name, hits, images, (low, high), p_value in columns
        if name
    }
    return dict(sorted(result.items(), key=lambda item: (item[1].accuracy, -item[1].images)))


def behind(right: Array, images: Array) -> Array:
    """P-values (G,): does chance alone put a group this far behind all other examples?

    Fisher's exact test, one-sided, and Bonferroni's correction, as the worst of many groups is
    always far behind.
    """
    from scipy import stats

    single = stats.hypergeom.cdf(right, images.sum(), right.sum(), images)
    return np.minimum(len(images) * single, 1.0)


def sentence(groups: dict[str, GroupScore]) -> str:
    """The worst group, and those that are significantly worse than the others.

    Empty without groups, and if each has one example only.
    """
    if all(score.images == 1 for score in groups.values()):
        return ""
    name, worst = next(iter(groups.items()))
    if len(groups) == 1:
        return f"All examples with a group are of {name!r}."
    if worst.right == worst.images:
        return f"The examples of all {len(groups):,} groups are right."
    figures = (
        f"The worst of {len(groups):,} groups is {name!r}: {worst.right:,} of {worst.images:,} "
        f"examples are right, {percent(worst.accuracy)} (95 % interval "
        f"{interval(worst.interval)})."
    )
    late = [name for name, score in groups.items() if score.p_value < SIGNIFICANT]
    if not late:
        return f"{figures} No group is significantly worse than the others."
    return f"{figures} Significantly worse than the others: {listed(late)}."
