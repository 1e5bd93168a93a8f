"""Ridge regression of a polynomial in closed form: w = (X'X + lambda I)^-1 X'y.

Hoerl and Kennard, 1970, Technometrics 12:55-67. As in the lecture, targets are x + 0.2 x^2 - x^3
plus normal noise. The range of x, the number of examples and the noise were not published; they are
settings of the example.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from lectures.example import Example
from lectures.outcome import Outcome, rounded
from pipeline.config.section import ParamsSection
from pipeline.config.validation_message import checked
from pipeline.files.artifacts import Array
from pipeline.search.engine import Engine

PENALTIES = np.concatenate([[0.0], np.logspace(-6, 3, 46)])
HELD_OUT = 1000  # validation examples, which choose the penalty, and as many test examples


class Setting(ParamsSection):
    """`degree` is that of the polynomial; x is uniform from -`range` to `range`.

    `noise` is a standard deviation.
    """

    degree: PositiveInt
    examples: PositiveInt
    range: PositiveFloat
    noise: PositiveFloat
    penalty: float | Literal["best"]


def outcomes(example: Example, where: Engine, quick: bool) -> tuple[list[Outcome], str]:
    """Raises UserError."""
    outcomes = []
    for variation in example.variations:
        setting = checked(
            Setting, {**example.settings, **variation.settings}, f"{variation.name}: "
        )
        started = time.perf_counter()
        figures, curves = zip(
            *(measured(setting, seed) for seed in example.seeds_of(variation, quick)), strict=True
        )
        seconds = round(time.perf_counter() - started, 1)
        by_measure = {measure: [run[measure] for run in figures] for measure in figures[0]}
        means = {name: np.mean([run[name] for run in curves], axis=0) for name in curves[0]}
        mean_curves = {name: rounded(mean) for name, mean in means.items()}
        outcomes.append(Outcome(variation.name, by_measure, mean_curves, seconds))
    examples = checked(Setting, {"penalty": 0.0, **example.settings}, "settings: ").examples
    return outcomes, f"generated as in the lecture, {examples} training examples"


def measured(setting: Setting, seed: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """The figures at the setting's penalty, and the root mean square errors of all penalties."""
    rng = np.random.default_rng(seed)
    parts = [drawn(setting, count, rng) for count in (setting.examples, HELD_OUT, HELD_OUT)]
    weights = np.array([solved(*parts[0], penalty) for penalty in PENALTIES])
    train, validation, test = (error(weights, *part) for part in parts)
    if setting.penalty == "best":
        index = int(validation.argmin())
    else:
        index = int(np.abs(PENALTIES - setting.penalty).argmin())
    sizes = np.abs(weights[index])
    figures = {
        "penalty": float(PENALTIES[index]),
        "smallest_weight": float(sizes.min()),
        "largest_weight": float(sizes.max()),
        "train_error": float(train[index]),
        "test_error": float(test[index]),
    }
    return figures, {"penalty": PENALTIES, "train_error": train, "test_error": test}


def drawn(setting: Setting, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The powers 0 to degree of x (N, degree + 1), and the targets (N,)."""
    x = rng.uniform(-setting.range, setting.range, count)
    y = x + 0.2 * x**2 - x**3 + rng.normal(0, setting.noise, count)
    return np.vander(x, setting.degree + 1, increasing=True), y


def solved(x: Array, y: Array, penalty: float) -> Array:
    weights: Array = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return weights


def error(weights: Array, x: Array, y: Array) -> Array:
    """The root mean square error of each row of weights."""
    result: Array = np.sqrt(np.mean((weights @ x.T - y) ** 2, axis=1))
    return result
