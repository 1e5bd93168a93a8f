"""The gate on the test set for answers that are right or wrong: goal, baseline, and every class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.files.artifacts import Array
from pipeline.files.reports.evaluate import (
    Gate,
)
from pipeline.reporting import statistics
from pipeline.reporting.tables import listed

if TYPE_CHECKING:
    pass


def judge(right: Array, baseline_right: Array, goal: float, never: list[str]) -> Gate:
    """Whether the model reaches the goal, beats the baseline and predicts every class.

    `right` (N,) and `baseline_right` (N,) say which images each of them answered correctly; the
    baseline is beaten by McNemar's test, p < 0.05. `never` are the classes that are not predicted.
    """
    accuracy, baseline_accuracy = float(right.mean()), float(baseline_right.mean())
    gained, lost = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    p_value = statistics.mcnemar(lost, gained)
    beaten = gained > lost and p_value < 0.05
    return Gate(
        target=goal,
        target_reached=accuracy >= goal,
        baseline_accuracy=baseline_accuracy,
        baseline_p_value=p_value,
        baseline_beaten=beaten,
        never_predicted=never,
        failures={
            "target": [] if accuracy >= goal else [missed(accuracy, goal)],
            "baseline": [] if beaten else [_not_beaten(accuracy, baseline_accuracy, p_value)],
            "classes": [_ignored(never)] if never else [],
        },
    )


def missed(accuracy: float, goal: float, name: str = "test accuracy") -> str:
    return (
        f"{name} {accuracy:.4f} is below problem.target {goal}; "
        "change the model or the data, and train again"
    )


def _ignored(names: list[str]) -> str:
    return (
        f"the model never predicts {listed(names)} on the test set: add training examples of "
        f"{'it' if len(names) == 1 else 'them'}, train longer, or use a larger model"
    )


def _not_beaten(accuracy: float, baseline: float, p_value: float) -> str:
    if accuracy == baseline:
        return (
            f"the baseline has the same test accuracy, {baseline:.4f}, so these test images do not "
            "show that the model adds anything to it; train longer, change the model or the data, "
            "or add more or harder test images"
        )
    return (
        f"test accuracy {accuracy:.4f} is not significantly better than the baseline's "
        f"{baseline:.4f} (p = {p_value:.3f}); change the model or the data, and train again"
    )
