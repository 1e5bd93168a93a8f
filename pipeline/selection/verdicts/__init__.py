"""The verdicts on a training and the rule of each: those of the deep-learning lectures, and faults that show before the first step.

The thresholds were chosen on the first five seeds of a corpus of trainings with a known fault and are judged on the others
(`make diagnosis`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.selection.evidence import Evidence
from pipeline.selection.verdicts import curves, data_and_layers
from pipeline.selection.verdicts.diagnosis import Curves, Diagnosis
from pipeline.training.learning_curves import Row

SMALLEST = 1e-9  # a loss counts as this at least: a table may have rounded it to zero

Rule = Callable[[Curves], Diagnosis | None]
RULES: tuple[Rule, ...] = (
    data_and_layers.before_the_first_step,
    curves.no_number,
    curves.nothing_learned,
    curves.diverged,
    data_and_layers.leakage,
    data_and_layers.shifted,
    curves.too_few_epochs,
    curves.overfit,
    curves.stopped_early,
    curves.too_little_capacity,
    curves.far_apart,
    curves.good_fit,
)


def diagnose(
    rows: Sequence[Row],
    evidence: Evidence | None = None,
    layers: dict[str, float] | None = None,
    target: float = 0.9,
    trained_before: bool = False,
) -> Diagnosis:
    """The first rule that holds gives the verdict: faults that make the curves unreadable come before what they show. That
    validation is small is a note on it.

    `layers` is what layer_statistics measured before the first step, `target` the accuracy that training must reach, and
    `trained_before` whether it started from the weights of a trained model.
    """
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for name in ("train_loss", "validation_loss"):
        columns[name] = np.where(np.isfinite(columns[name]), np.maximum(columns[name], SMALLEST), columns[name])
    given = Curves(columns, evidence, layers or {}, target, trained_before)
    found = next(found for rule in RULES if (found := rule(given)) is not None)
    return data_and_layers.noted(found, given)
