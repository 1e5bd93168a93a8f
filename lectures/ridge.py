"""Ridge regression of a polynomial in closed form: w = (X'X + lambda I)^-1 X'y (Hoerl and Kennard, 1970, Technometrics 12:55-67).

Targets are x + 0.2 x^2 - x^3 and normal noise, as in the lecture; its range of x, number of examples and noise are not
published, and are values of the study.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt, ValidationError

from lectures.example import Study
from lectures.outcome import Outcome, rounded
from pipeline.config import validation_message
from pipeline.config.params import Section
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError

PENALTIES = np.concatenate([[0.0], np.logspace(-6, 3, 46)])
HELD_OUT = 1000  # examples to choose the penalty by, and as many more to tell the error


class Setting(Section):
    """The polynomial's highest power; training examples; x is uniform from -`range` to `range`; the noise's standard deviation."""

    degree: PositiveInt
    examples: PositiveInt
    range: PositiveFloat
    noise: PositiveFloat
    penalty: float | Literal["best"]


def outcomes(study: Study, workers_wanted: int, quick: bool) -> tuple[list[Outcome], str]:
    """Raises UserError."""
    made = []
    for variation in study.variations:
        chosen = _checked({**study.settings, **variation.settings}, variation.name)
        started = time.perf_counter()
        runs = [measured(chosen, seed) for seed in study.seeds_of(variation, quick)]
        figures = {measure: [one[0][measure] for one in runs] for measure in runs[0][0]}
        curves = {
            name: rounded(np.mean([one[1][name] for one in runs], axis=0)) for name in runs[0][1]
        }
        made.append(
            Outcome(variation.name, figures, curves, round(time.perf_counter() - started, 1))
        )
    return (
        made,
        f"made as the lecture has them, {_checked({'penalty': 0.0, **study.settings}, 'settings').examples} training examples",
    )


def measured(chosen: Setting, seed: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """The figures at the chosen penalty, and the errors (root mean square) over all penalties."""
    rng = np.random.default_rng(seed)
    (x, y), (x_validation, y_validation), (x_test, y_test) = (
        drawn(chosen, count, rng) for count in (chosen.examples, HELD_OUT, HELD_OUT)
    )
    weights = np.array([solved(x, y, penalty) for penalty in PENALTIES])
    train, validation, test = (
        error(weights, *part) for part in ((x, y), (x_validation, y_validation), (x_test, y_test))
    )
    best = int(validation.argmin())
    at = best if chosen.penalty == "best" else int(np.abs(PENALTIES - chosen.penalty).argmin())
    sizes = np.abs(weights[at])
    figures = {
        "penalty": float(PENALTIES[at]),
        "smallest_weight": float(sizes.min()),
        "largest_weight": float(sizes.max()),
        "train_error": float(train[at]),
        "test_error": float(test[at]),
    }
    return figures, {"penalty": PENALTIES, "train_error": train, "test_error": test}


def drawn(chosen: Setting, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The powers 0 to degree of x (N, degree + 1), and the targets (N,)."""
    x = rng.uniform(-chosen.range, chosen.range, count)
    return np.vander(x, chosen.degree + 1, increasing=True), x + 0.2 * x**2 - x**3 + rng.normal(
        0, chosen.noise, count
    )


def solved(x: Array, y: Array, penalty: float) -> Array:
    weights: Array = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return weights


def error(weights: Array, x: Array, y: Array) -> Array:
    """The root mean square error of each row of weights."""
    result: Array = np.sqrt(np.mean((weights @ x.T - y) ** 2, axis=1))
    return result


def _checked(values: Mapping[str, Any], name: str) -> Setting:
    try:
        return Setting.model_validate(values)
    except ValidationError as found:
        raise UserError(f"{name}: {validation_message.sentence(found, values, Setting)}") from None
