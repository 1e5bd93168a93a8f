"""A number: labels (N,) are float32 in a unit, and the model has one output, the number itself.

An answer is not right or wrong but has an error, its distance from the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import inputs
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.inputs import Drawing, Predict
from pipeline.process.errors import UserError
from pipeline.targets import Thresholds

BASELINES = {"mean": "mean of the training set", "ridge": "ridge regression"}
OUTPUTS: tuple[str, ...] = ("linear",)
LOSSES: tuple[str, ...] = ("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh")
SCORING = "_errors"
ONE_CLASS_EACH = False
IS_NUMBER = True
ANSWER = "whatever the tensor is called, it holds the number and no probability"

PENALTIES = tuple(10.0**power for power in range(-2, 5))
FOLDS = 5  # by which ridge regression chooses one of PENALTIES
MOST = 50000  # examples that it is fitted on
STRATA = 10
FEWEST = 2


def check(labels: Array, description: Description, part: str) -> None:
    if labels.ndim != 1 or labels.dtype.kind != "f":
        raise UserError(
            f"the {part} part has labels of {labels.dtype} and shape {labels.shape}; expected a "
            "float for each example"
        )
    if len(labels) < FEWEST or labels.min() == labels.max():
        raise UserError(
            f"the {part} part has {len(np.unique(labels))} different numbers; expected at least 2"
        )


def contents(labels: Array, names: Sequence[str]) -> dict[str, Any]:
    return {
        "per_class": {},
        "number_mean": float(np.mean(labels, dtype=np.float64)),
        "number_standard_deviation": float(np.std(labels, dtype=np.float64)),
        "number_minimum": float(labels.min()),
        "number_maximum": float(labels.max()),
    }


def random(rng: np.random.Generator, count: int, number: int) -> Array:
    return rng.normal(size=count).astype(np.float32)


def strata(labels: Array) -> Array:
    """The tenth of all labels in which each one is."""
    if not len(labels):  # of data that may not be passed on, no example is chosen
        return np.zeros(0, int)
    edges = np.quantile(labels, np.arange(1, STRATA) / STRATA)
    result: Array = np.searchsorted(np.unique(edges), labels, side="right")
    return result


def baseline(
    train: Array, labels: Array, description: Description, pictures: Drawing, path: Path
) -> Predict:
    """The mean, which looks at no input, and ridge regression on what the kind of input gives it.

    The picture shows what ridge regression says of the examples that it was fitted on.
    """
    kind = inputs.kind(description.kind)
    rows = np.sort(np.random.default_rng(0).permutation(len(labels))[:MOST])
    fitted, true = np.asarray(train[rows]), np.asarray(labels)[rows].astype(np.float64)
    mean, model = float(np.mean(labels)), ridge(kind.regressors(fitted, description), true)
    # What hardly varies in the training set, such as a corner of pictures, is scaled up so much
    # that a single example could be thousands of units off, and decide the mean error.
    low, high = true.min() - np.ptp(true), true.max() + np.ptp(true)

    def predict(examples: Array) -> dict[str, Array]:
        parts = [
            model.predict(kind.regressors(np.asarray(examples[start:stop]), description))
            for start, stop in artifacts.chunks_of(examples)
        ]
        bounded = np.clip(np.concatenate(parts), low, high)
        guesses = {"mean": np.full(len(examples), mean), "ridge": bounded}
        return {name: values.astype(np.float32) for name, values in guesses.items()}

    name, unit = description.class_names[0], description.unit or ""
    title = f"Ridge regression of the {name} on {len(true):,} training examples"
    pictures.against(path, true, predict(fitted)["ridge"], unit, title)
    return predict


def ridge(features: Any, true: Array) -> Any:
    """Ridge regression of `true` (N,) on features (N, D).

    They are scaled, unless they are sparse counts, of which rare ones would weigh too much.
    """
    from scipy.sparse import issparse
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = RidgeCV(PENALTIES, cv=min(FOLDS, len(true)))
    model = regression if issparse(features) else make_pipeline(StandardScaler(), regression)
    return model.fit(features.astype(np.float64), true)


def answers(outputs: Array, holds_from: Thresholds = None) -> Array:
    return outputs[:, 0]


def losses(outputs: Array, labels: Array) -> Array:
    result: Array = (outputs[:, 0].astype(np.float64) - labels) ** 2
    return result


def margins(outputs: Array, holds_from: Thresholds = None) -> Array:
    """The distance to the nearer end of all outputs: there an int8 file may saturate."""
    low, high = outputs.min(initial=np.inf), outputs.max(initial=-np.inf)
    result: Array = np.minimum(outputs - low, high - outputs)[:, 0]
    return result


def words(answer: Array, names: Sequence[str]) -> str:
    return f"{float(answer):.4g}"
