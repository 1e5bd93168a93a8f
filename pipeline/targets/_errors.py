"""How good numbers are: errors in their unit, for targets whose answers are not right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import inputs, targets
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.predictions import Predictions
from pipeline.files.reports.baseline import ErrorScore
from pipeline.files.reports.evaluate import (
    Evaluation,
    GateName,
    GroupError,
    NumberGate,
    NumberReport,
)
from pipeline.inputs import Sheet
from pipeline.reporting import statistics
from pipeline.reporting.errors import Errors, distances, paired_p_values
from pipeline.reporting.metrics import ACCURACY
from pipeline.reporting.tables import amount, amounts
from pipeline.targets import Goal, Thresholds
from pipeline.targets._gate import MORE_EXAMPLES

if TYPE_CHECKING:
    from serving.model_card import ModelCard

SIGNIFICANT = 0.05
RESAMPLES = 1000  # of the bootstrap
PARTS = 10  # of the range of true numbers, in the picture of errors


def judged(
    outputs: Array,
    labels: Array,
    description: Description,
    metric: str = ACCURACY,
    holds_from: Thresholds = None,
) -> Errors:
    answers = targets.target(description.target).answers(outputs)
    return Errors.of(answers, np.asarray(labels), description.unit)


def most_folds(labels: Array, description: Description) -> tuple[int, str]:
    return len(labels) // 2, "half of the examples: one alone has no interval"


def draw_contents(path: Path, labels: dict[str, Array], description: Description) -> None:
    from pipeline.reporting import numbers  # with Matplotlib, for which `package` has no use

    title = f"The {description.class_names[0]} in each set"
    numbers.spread(path, labels, description.unit or "", title)


def baseline_score(
    answers: Array, labels: Array, description: Description, metric: str = ACCURACY
) -> ErrorScore:
    errors = distances(answers, labels)
    return ErrorScore(
        error=float(errors.mean()),
        interval=statistics.mean_interval(errors),
        root_mean_square_error=root_mean_square(errors),
        r_squared=explained(errors, labels),
        unit=description.unit or "",
    )


def root_mean_square(errors: Array) -> float:
    return float(np.sqrt((errors**2).mean()))


def explained(errors: Array, labels: Array) -> float:
    """R squared: the share of the variance of the labels that the answers explain."""
    return float(1 - (errors**2).mean() / np.var(labels, dtype=np.float64))


def resampled(errors: Array, labels: Array) -> tuple[tuple[float, float], tuple[float, float]]:
    """The 95 % intervals of the root mean square error and of R squared, by the bootstrap."""
    rows = np.random.default_rng(0)
    draws = [rows.integers(0, len(errors), len(errors)) for _ in range(RESAMPLES)]
    figures = [
        (root_mean_square(errors[draw]), explained(errors[draw], labels[draw]))
        for draw in draws
        if labels[draw].min() < labels[draw].max()
    ]
    low, high = np.percentile(figures, [2.5, 97.5], axis=0)
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def evaluate(
    outputs: Array, labels: Array, baseline: Array, description: Description, goal: Goal
) -> NumberReport:
    """The report on the test set, with the gates; `goal` is the error that the model may have."""
    labels, unit = np.asarray(labels), description.unit or ""
    errors = distances(targets.target(description.target).answers(outputs), labels)
    of_square, of_explained = resampled(errors, labels)
    return NumberReport(
        model_sha256=artifacts.sha256(artifacts.MODEL),
        test_images=len(labels),
        unit=unit,
        test_error=float(errors.mean()),
        test_error_interval=statistics.mean_interval(errors),
        root_mean_square_error=root_mean_square(errors),
        root_mean_square_error_interval=of_square,
        r_squared=explained(errors, labels),
        r_squared_interval=of_explained,
        gate=judge(errors, distances(baseline, labels), goal.value, unit),
    )


def judge(errors: Array, baseline_errors: Array, goal: float, unit: str) -> NumberGate:
    """Whether the mean of `errors` (N,) is at most the goal, and below that of the baseline.

    The baseline is beaten by Student's paired t-test, two-sided p < 0.05.
    """
    error, baseline_error = float(errors.mean()), float(baseline_errors.mean())
    p_value = min(1.0, 2 * min(paired_p_values(errors, baseline_errors)))
    beaten = error < baseline_error and p_value < SIGNIFICANT
    return NumberGate(
        target=goal,
        target_reached=error <= goal,
        baseline_error=baseline_error,
        baseline_p_value=p_value,
        baseline_beaten=beaten,
        failures={
            GateName.TARGET: [] if error <= goal else [_missed(error, goal, unit)],
            GateName.BASELINE: []
            if beaten
            else [_not_beaten(error, baseline_error, p_value, unit)],
        },
    )


def _missed(error: float, goal: float, unit: str) -> str:
    return (
        f"the mean absolute error on the test set, {amount(error, unit)}, is above problem.target "
        f"{goal:g}; change the model or the data, and train again"
    )


def _not_beaten(error: float, baseline: float, p_value: float, unit: str) -> str:
    against = f"the baseline's {amount(baseline, unit)}"
    fault = f"not significantly below {against} (p = {p_value:.3f}); "
    if error > baseline:
        fault = f"above {against}; "
    elif error < baseline:
        fault += MORE_EXAMPLES
    return (
        f"the mean absolute error on the test set, {amount(error, unit)}, is {fault}change the "
        "model or the data, and train again"
    )


def with_groups(
    report: Evaluation,
    outputs: Array,
    labels: Array,
    description: Description,
    group_names: Sequence[str],
) -> Evaluation:
    """The report with the error of each group, the worst first."""
    errors = distances(targets.target(description.target).answers(outputs), np.asarray(labels))
    groups = np.array(group_names)
    by_name = {name: errors[groups == name] for name in sorted(set(group_names) - {""})}
    if not by_name:
        return report
    scores = {
        name: GroupError(
            images=len(part), error=float(part.mean()), interval=statistics.mean_interval(part)
        )
        for name, part in by_name.items()
    }
    ordered = sorted(scores.items(), key=lambda item: -item[1].error)
    return report.changed(per_group=dict(ordered))


def remarks(report: Evaluation) -> list[str]:
    assert isinstance(report, NumberReport)
    low, high = report.r_squared_interval
    sentence = (
        f"root mean square error {amount(report.root_mean_square_error, report.unit)} (95 % "
        f"interval {amounts(report.root_mean_square_error_interval, report.unit)}); R squared "
        f"{report.r_squared:.4f} ({low:.4f} to {high:.4f})"
    )
    if not report.per_group:
        return [sentence]
    name, worst = next(iter(report.per_group.items()))
    return [
        sentence,
        f"the worst of {len(report.per_group):,} groups is {name!r}: "
        f"{amount(worst.error, report.unit)} on {worst.images:,} examples",
    ]


def draw(
    pictures: Any,
    test: tuple[Array, Array],
    outputs: Array,
    description: Description,
    report: Evaluation,
) -> None:
    """True against predicted numbers as a picture and as rows, and the largest errors."""
    images, labels = test
    target, unit = targets.target(description.target), description.unit or ""
    labels, answers = np.asarray(labels), target.answers(outputs)
    rows = list(zip(labels.tolist(), answers.tolist(), strict=True))
    artifacts.save_csv(artifacts.REPORTS / "confusion.csv", ("actual", "predicted"), rows)
    title = f"The {description.class_names[0]} of {len(labels):,} test examples"
    pictures.against(artifacts.REPORTS / "confusion.png", labels, answers, unit, title)
    kind, errors = inputs.kind(description.kind), distances(answers, labels)
    worst = np.argsort(-errors, kind="stable")[: kind.SHOWN]
    titles = [f"{labels[row]:.4g} as {answers[row]:.4g}" for row in worst]
    sheet_title = f"The largest errors: true as predicted, in {unit}"
    sheet = Sheet(artifacts.REPORTS / "mistakes.png", titles, sheet_title)
    kind.draw(pictures, sheet, images[worst], description.vocabulary)
    draw_parts(labels, errors, unit)


def draw_parts(labels: Array, errors: Array, unit: str) -> None:
    """The error in each tenth of the true numbers: a model may be poor at the ends."""
    from pipeline.reporting import numbers

    edges = np.unique(np.quantile(labels, np.linspace(0, 1, PARTS + 1)))
    parts = np.clip(np.searchsorted(edges, labels, side="right") - 1, 0, max(len(edges) - 2, 0))
    rows = []
    for part in np.unique(parts):
        own, low, high = errors[parts == part], edges[part], edges[min(part + 1, len(edges) - 1)]
        name = f"{low:.4g} to {high:.4g}"
        rows.append((name, len(own), float(own.mean()), statistics.mean_interval(own)))
    path, title = artifacts.REPORTS / "bars.png", "Error by true number"
    numbers.bars(path, rows, float(errors.mean()), unit, title)


def neglected(
    validation: Predictions, description: Description, trained: dict[str, int]
) -> tuple[list[str], list[str]]:
    """Nothing: there are no classes."""
    return [], []


def score_in_words(report: Evaluation) -> str:
    """The score, for the terminal."""
    assert isinstance(report, NumberReport)
    return (
        f"test mean absolute error {amount(report.test_error, report.unit)} (95 % interval "
        f"{amounts(report.test_error_interval, report.unit)})"
    )


def results(card: ModelCard) -> str:
    assert card.number is not None
    number = card.number
    return (
        f"The mean absolute error on the test set is {amount(number.error, number.unit)} (95 % "
        f"interval {amounts(number.error_interval, number.unit)}), on {card.test_images:,} "
        "examples that were never used for training; the baseline's is "
        f"{amount(number.baseline_error, number.unit)}. The root mean square error is "
        f"{amount(number.root_mean_square_error, number.unit)}, and R squared "
        f"{number.r_squared:.4f}."
    )
