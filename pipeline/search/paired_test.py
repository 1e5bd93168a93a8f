"""Whether a new model is better than an old one, beyond chance: on the examples that both saw, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.files.predictions import Predictions


@dataclass(frozen=True)
class Comparison:
    """How a new model does against an old one. The p-values are one-sided: how likely it would seem so much better by chance."""

    difference: float  # of accuracy
    p_value: float
    loss_p_value: float
    worse_p_value: float
    paired: bool


def compare(new: Predictions, old: Predictions) -> Comparison:
    """On the examples that both saw, pair by pair: the exact McNemar test of accuracy, and the paired t test of the losses.

    Where less than half of the examples are common, as after a change of the data: Fisher's exact test, and Welch's.
    """
    from scipy import stats

    _, ours, theirs = np.intersect1d(new.examples, old.examples, return_indices=True)
    if len(ours) < min(len(new.labels), len(old.labels)) / 2:
        table = np.array([[side.right.sum(), (~side.right).sum()] for side in (new, old)])
        better, worse = (
            float(stats.fisher_exact(table, alternative=side).pvalue)
            for side in ("greater", "less")
        )
        loss = stats.ttest_ind(new.losses, old.losses, equal_var=False, alternative="less").pvalue
        return Comparison(new.accuracy - old.accuracy, better, float(loss), worse, paired=False)
    won, lost = (new.right[ours], old.right[theirs])
    gained, given = int((won & ~lost).sum()), int((lost & ~won).sum())
    changed = max(gained + given, 1)
    better, worse = (
        float(stats.binomtest(count, changed, alternative="greater").pvalue)
        for count in (gained, given)
    )
    same = np.array_equal(
        new.losses[ours], old.losses[theirs]
    )  # of two equal models, for whom the t statistic is 0 / 0
    loss = (
        1.0
        if same
        else stats.ttest_rel(new.losses[ours], old.losses[theirs], alternative="less").pvalue
    )
    return Comparison(float(won.mean() - lost.mean()), better, float(loss), worse, paired=True)
