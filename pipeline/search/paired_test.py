"""Is a new model significantly better than an old one? A paired test on their common examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.reporting import metrics
from pipeline.targets._scores import Scores


@dataclass(frozen=True)
class PairedTest:
    """A new model against an old one.

    One-sided p-values: how likely chance alone makes the new model look this much better.
    """

    difference: float  # of problem.metric
    p_value: float
    loss_p_value: float
    worse_p_value: float
    paired: bool


def compare(new: Scores, old: Scores) -> PairedTest:
    """The exact McNemar test of accuracy and the paired t test of the losses.

    If less than half of the examples are common, as after a change of the data: Fisher's exact
    test and Welch's t test. Another metric than accuracy has randomization tests.
    """
    _, new_rows, old_rows = np.intersect1d(new.examples, old.examples, return_indices=True)
    if len(new_rows) < min(len(new.right), len(old.right)) / 2:
        return _compare_unpaired(new, old)
    from scipy import stats

    if new.judged and old.judged:
        judged = new.judged.rows(new_rows), old.judged.rows(old_rows)
        better, worse = metrics.paired_p_values(*judged)
        loss = _paired_loss(new.losses[new_rows], old.losses[old_rows])
        return PairedTest(judged[0].value - judged[1].value, better, loss, worse, paired=True)
    new_right, old_right = new.right[new_rows], old.right[old_rows]
    gained, lost = int((new_right & ~old_right).sum()), int((old_right & ~new_right).sum())
    changed = max(gained + lost, 1)
    better, worse = (
        float(stats.binomtest(count, changed, alternative="greater").pvalue)
        for count in (gained, lost)
    )
    loss = _paired_loss(new.losses[new_rows], old.losses[old_rows])
    difference = float(new_right.mean() - old_right.mean())
    return PairedTest(difference, better, loss, worse, paired=True)


def _paired_loss(new: Array, old: Array) -> float:
    from scipy import stats

    if np.array_equal(new, old):
        return 1.0  # the t statistic of two equal models would be 0 / 0
    return float(stats.ttest_rel(new, old, alternative="less").pvalue)


def _compare_unpaired(new: Scores, old: Scores) -> PairedTest:
    from scipy import stats

    table = np.array([[model.right.sum(), (~model.right).sum()] for model in (new, old)])
    better, worse = (
        float(stats.fisher_exact(table, alternative=alternative).pvalue)
        for alternative in ("greater", "less")
    )
    loss = stats.ttest_ind(new.losses, old.losses, equal_var=False, alternative="less").pvalue
    if new.judged and old.judged:
        better, worse = metrics.unpaired_p_values(new.judged, old.judged)
    return PairedTest(new.value - old.value, better, float(loss), worse, paired=False)
