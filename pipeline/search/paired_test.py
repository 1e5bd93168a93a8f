"""Is a new model significantly better than an old one? A paired test on their common examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline import targets
from pipeline.files.artifacts import Array, Description
from pipeline.files.predictions import Predictions
from pipeline.reporting import errors
from pipeline.reporting.measure import Judged
from pipeline.reporting.metrics import ACCURACY


@dataclass(frozen=True)
class Scores:
    """The answers to N examples, the loss of each (N,), and the digests (N,) of the examples."""

    judged: Judged
    losses: Array
    examples: Array


def scores(predictions: Predictions, description: Description, metric: str = ACCURACY) -> Scores:
    """Several labels at once hold from thresholds that are chosen on the same examples."""
    outputs, labels = predictions.probabilities, predictions.labels
    scoring = targets.scoring(description.target)
    holds_from = targets.holds_from(predictions, description.target)
    return Scores(
        scoring.judged(outputs, labels, description, metric, holds_from),
        targets.target(description.target).losses(outputs, labels),
        predictions.examples,
    )


@dataclass(frozen=True)
class PairedTest:
    """A new model against an old one.

    One-sided p-values: how likely chance alone makes the new model look this much better.
    """

    difference: float  # of what the models are judged by; more is better
    p_value: float
    loss_p_value: float
    worse_p_value: float
    paired: bool


def compare(new: Scores, old: Scores) -> PairedTest:
    """The tests of the measure, as reporting/metrics.py and errors.py have them, and of the losses.

    If less than half of the examples are common, as after a change of the data, the tests are not
    paired.
    """
    _, new_rows, old_rows = np.intersect1d(new.examples, old.examples, return_indices=True)
    first, second = new.judged, old.judged
    losses = new.losses, old.losses
    if paired := len(new_rows) >= min(len(first), len(second)) / 2:
        first, second = first.rows(new_rows), second.rows(old_rows)
        losses = new.losses[new_rows], old.losses[old_rows]
    better, worse = first.p_values(second, paired=paired)
    of_losses = errors.paired_p_values if paired else errors.unpaired_p_values
    difference = first.measure.sign * (first.value - second.value)
    return PairedTest(difference, better, of_losses(*losses)[0], worse, paired)
