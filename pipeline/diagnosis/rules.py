"""The verdicts on a training and the rule of each: those of the deep-learning lectures, and faults that show before the first step.

The thresholds were chosen on the first five seeds of a corpus of trainings with a known fault and are judged on the others
(`make diagnosis`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.diagnosis import curve_rules, data_and_layer_rules
from pipeline.diagnosis.diagnosis import Curves, Diagnosis
from pipeline.diagnosis.split_checks import Evidence
from pipeline.training.learning_curves import Row

SMALLEST = 1e-9  # a loss counts as this at least: a table may have rounded it to zero

Rule = Callable[[Curves], Diagnosis | None]
RULES: tuple[Rule, ...] = (
    data_and_layer_rules.before_the_first_step,
    curve_rules.no_number,
    curve_rules.nothing_learned,
    curve_rules.diverged,
    data_and_layer_rules.leakage,
    data_and_layer_rules.shifted,
    curve_rules.too_few_epochs,
    curve_rules.overfit,
    curve_rules.stopped_early,
    curve_rules.too_little_capacity,
    curve_rules.far_apart,
    curve_rules.good_fit,
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
        columns[name] = np.where(
            np.isfinite(columns[name]), np.maximum(columns[name], SMALLEST), columns[name]
        )
    given = Curves(columns, evidence, layers or {}, target, trained_before)
    found = next(found for rule in RULES if (found := rule(given)) is not None)
    return data_and_layer_rules.noted(found, given)
