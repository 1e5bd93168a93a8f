"""The gate on the test set for answers that are right or wrong: goal, baseline, and every class."""

from __future__ import annotations

from typing import Any

from pipeline import targets
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.evaluate import Gate, GateName, MetricScore
from pipeline.reporting import metrics, statistics
from pipeline.reporting.metrics import ACCURACY
from pipeline.reporting.tables import listed
from pipeline.targets import Goal
from pipeline.targets._per_class import never_predicted

SIGNIFICANT = 0.05
# The first cure of a model that is better, but not significantly
MORE_EXAMPLES = "more test examples may show that it is better; else "


def by_goal(
    answers: Array, baseline: Array, labels: Array, description: Description, goal: Goal
) -> dict[str, Any]:
    """The gate, and the metric by which it judges if that is not accuracy."""
    target, names = targets.recognition(description.target), description.class_names
    never = never_predicted(target.counts(answers, labels, len(names)), names)
    right, baseline_right = target.right(answers, labels), target.right(baseline, labels)
    if goal.metric == ACCURACY:
        return {"gate": judge(right, baseline_right, goal.value, never)}
    model, other = (
        metrics.judged(goal.metric, part, labels, description) for part in (answers, baseline)
    )
    score = MetricScore(
        name=goal.metric, value=model.value, interval=model.interval, baseline=other.value
    )
    p_value = min(1.0, 2 * min(metrics.paired_p_values(model, other)))
    gate = judge_score(score, float(baseline_right.mean()), p_value, goal.value, never)
    return {"gate": gate, "metric": score}


def judge(right: Array, baseline_right: Array, goal: float, never: list[str]) -> Gate:
    """Whether the model reaches the goal, beats the baseline and predicts every class.

    `right` (N,) and `baseline_right` (N,) say which images each of them answered correctly; the
    baseline is beaten by McNemar's test, p < 0.05. `never` are the classes that are not predicted.
    """
    accuracy, baseline = float(right.mean()), float(baseline_right.mean())
    gained, lost = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    score = MetricScore(
        name=ACCURACY, value=accuracy, interval=(accuracy, accuracy), baseline=baseline
    )
    return judge_score(score, baseline, statistics.mcnemar(lost, gained), goal, never)


def judge_score(
    score: MetricScore, baseline_accuracy: float, p_value: float, goal: float, never: list[str]
) -> Gate:
    """The same by any metric; the two-sided `p_value` is that of its difference."""
    reached, beaten = score.value >= goal, score.value > score.baseline and p_value < SIGNIFICANT
    return Gate(
        target=goal,
        target_reached=reached,
        baseline_accuracy=baseline_accuracy,
        baseline_p_value=p_value,
        baseline_beaten=beaten,
        never_predicted=never,
        failures={
            GateName.TARGET: [] if reached else [missed(score.value, goal, f"test {score.words}")],
            GateName.BASELINE: [] if beaten else [_not_beaten(score, p_value)],
            GateName.CLASSES: [_ignored(never)] if never else [],
        },
    )


def missed(value: float, goal: float, name: str) -> str:
    return (
        f"{name} {value:.4f} is below problem.target {goal}; "
        "change the model or the data, and train again"
    )


def _ignored(names: list[str]) -> str:
    return (
        f"the model never predicts {listed(names)} on the test set: add training examples of "
        f"{'it' if len(names) == 1 else 'them'}, train longer, or use a larger model"
    )


def _not_beaten(score: MetricScore, p_value: float) -> str:
    name = f"test {score.words}"
    if score.value == score.baseline:
        change = "train longer, change the model or the data, or " if score.value < 1 else ""
        return (
            f"the baseline has the same {name}, {score.baseline:.4f}, so these test examples do "
            f"not show that the model adds anything to it; {change}add more or harder test examples"
        )
    against = f"the baseline's {score.baseline:.4f}"
    fault = f"not significantly better than {against} (p = {p_value:.3f}); {MORE_EXAMPLES}"
    if score.value < score.baseline:
        fault = f"below {against}; "
    return f"{name} {score.value:.4f} is {fault}change the model or the data, and train again"
