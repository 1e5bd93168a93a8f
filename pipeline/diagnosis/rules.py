"""The rules of the diagnosis in their order: those of the deep-learning lectures, and a few more.

The others find faults that show before the first step. Thresholds were tuned on the first five
seeds of a corpus of trainings with a known fault, and are evaluated on the other seeds
(`make diagnosis`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.diagnosis import curve_rules, data_and_layer_rules
from pipeline.diagnosis.diagnosis import Curves, Diagnosis, MostError
from pipeline.files.reports.preprocess import Evidence
from pipeline.training.learning_curves import TRAIN_LOSS, VALIDATION_LOSS, Row

SMALLEST = 1e-9  # losses are raised to this, since a table may have rounded them to zero

Rule = Callable[[Curves], Diagnosis | None]
RULES: tuple[Rule, ...] = (
    data_and_layer_rules.before_the_first_step,
    curve_rules.not_finite,
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
    target: float | MostError = 0.9,
    trained_before: bool = False,
) -> Diagnosis:
    """The verdict of the first rule that holds, with a note if validation is small.

    Faults that make the curves meaningless come before what the curves show. `layers` holds the
    layer_statistics before the first step, `target` is the accuracy that training must reach, or
    the error that it may have, and `trained_before` says whether it started from the weights of a
    trained model.
    """
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for name in (TRAIN_LOSS, VALIDATION_LOSS):
        loss = columns[name]
        columns[name] = np.where(np.isfinite(loss), np.maximum(loss, SMALLEST), loss)
    curves = Curves(columns, evidence, layers or {}, target, trained_before)
    diagnosis = next(result for rule in RULES if (result := rule(curves)) is not None)
    return data_and_layer_rules.with_note(diagnosis, curves)
