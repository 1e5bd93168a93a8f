"""How well does this recipe do, and how much of that is luck of the split? Stratified k-fold cross-validation.

    edgeproof folds --folds 5
    edgeproof folds --folds 10 -S train.architecture=mlp --workers 2

Every example outside the test set is validated once, by a model that has not seen it. The folds are children in MLflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from pipeline.search import cached_training
from pipeline.search.analysis import Answer, Options, Question
from pipeline.search.cached_training import Result, Training


def trainings(asked: Question, folds: int) -> list[Training]:
    """One for each fold. Raises UserError."""
    from sklearn.model_selection import StratifiedKFold

    rows = np.sort(np.concatenate(cached_training.rows_of(asked.chosen)))
    labels = cached_training.labels()[rows]
    fewest = int(np.bincount(labels)[np.unique(labels)].min())
    if not 2 <= folds <= fewest:
        raise UserError(
            f"--folds is {folds}; allowed is 2 to {fewest}, the examples of the smallest class"
        )
    split = StratifiedKFold(folds, shuffle=True, random_state=asked.chosen.preprocess.seed).split(
        rows, labels
    )
    return [
        Training(
            f"fold {number} of {folds}",
            {"fold": number},
            asked.chosen.train,
            rows[kept],
            rows[left],
        )
        for number, (kept, left) in enumerate(split, 1)
    ]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean over k folds: of a model trained on so many examples, on another split.

    The folds share their training examples, so the plain t interval is too narrow; its variance s^2 / k becomes
    s^2 (1/k + 1/(k-1)), where 1/(k-1) is validation over training examples (Nadeau and Bengio, 2003, Machine Learning
    52:239-281, equation 10).
    """
    k = len(values)
    half = special.stdtrit(k - 1, 0.975) * np.std(values, ddof=1) * np.sqrt(1 / k + 1 / (k - 1))
    return max(float(np.mean(values) - half), 0.0), min(float(np.mean(values) + half), 1.0)


def answer(found: Sequence[Result]) -> Answer:
    accuracies, losses = [result.accuracy for result in found], [result.loss for result in found]
    low, high = interval(accuracies)
    mean, spread = float(np.mean(accuracies)), float(np.std(accuracies, ddof=1))
    table = []
    for number, result in enumerate(found, 1):
        least, most = fold_interval(result)
        cells = [
            f"{result.accuracy:.2%}",
            f"{least:.2%} to {most:.2%}",
            f"{result.loss:.4f}",
            str(result.kept),
            f"{result.seconds:.1f}",
        ]
        table.append([str(number), *cells])
    table.append(
        [
            "mean",
            f"{mean:.2%}",
            f"{low:.2%} to {high:.2%}",
            f"{np.mean(losses):.4f}",
            "",
            f"{np.mean(seconds(found)):.1f}",
        ]
    )
    return Answer(
        f"Over {len(found)} folds the validation accuracy is {mean:.2%} on average (95 % interval {low:.2%} to {high:.2%}); from fold to "
        f"fold it varies with a standard deviation of {100 * spread:.2f} points, so a smaller difference on one split proves nothing.",
        ["fold", "validation accuracy", "95 % interval", "loss", "kept epoch", "seconds"],
        table,
        {
            "mean_validation_accuracy": mean,
            "standard_deviation": spread,
            "interval_low": low,
            "interval_high": high,
        },
        [
            "The interval of a fold is that of a proportion (Clopper and Pearson); that of the mean allows for the training examples "
            "that the folds share (Nadeau and Bengio, 2003)."
        ],
    )


def seconds(found: Sequence[Result]) -> list[float]:
    return [result.seconds for result in found]


def fold_interval(result: Result) -> tuple[float, float]:
    return statistics.accuracy_interval(
        result.validation_examples - result.wrong, result.validation_examples
    )


def draw(figure: Any, found: Sequence[Result]) -> None:
    """Each fold with its interval, over the mean and its."""
    axis = figure.add_subplot()
    numbers = np.arange(1, len(found) + 1)
    accuracies = np.array([result.accuracy for result in found])
    ends = np.array([fold_interval(result) for result in found]).T
    low, high = interval(accuracies.tolist())
    axis.axhspan(
        100 * low, 100 * high, color="tab:orange", alpha=0.2, label="95 % interval of the mean"
    )
    axis.axhline(100 * accuracies.mean(), color="tab:orange", label=f"mean {accuracies.mean():.2%}")
    axis.errorbar(
        numbers,
        100 * accuracies,
        100 * np.abs(ends - accuracies),
        fmt="o",
        capsize=3,
        label="fold, 95 % interval",
    )
    axis.set(xlabel="fold", ylabel="validation accuracy, %", xticks=numbers)
    axis.grid(alpha=0.3)
    axis.legend()


def cross_validate(folds: int, options: Options) -> None:
    """Raises UserError."""
    asked = Question("folds", options, folds=folds)
    found = asked.results(trainings(asked, folds))
    asked.answer(answer(found), lambda figure: draw(figure, found))
