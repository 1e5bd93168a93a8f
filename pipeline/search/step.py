"""A step of `improve`: a change, its outcome, and its paragraph in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.field.comparison import holm
from pipeline.search.change import Change
from pipeline.search.dvc_experiment import Experiment
from pipeline.search.paired_test import PairedTest

SIGNIFICANT = 0.05  # the chance of confirming a change that does not help


@dataclass(frozen=True)
class Step:
    """One experiment of the loop. The first has neither a change nor a comparison.

    `p_value` and `worse_p_value` are corrected for all comparisons with the same best; `beside` are
    the other changes that were tried at the same time, and `better` is the one of them that is kept
    instead.
    """

    experiment: Experiment
    change: Change | None = None
    comparison: PairedTest | None = None
    p_value: float = 1.0
    worse_p_value: float = 1.0
    beside: Sequence[str] = ()
    better: str | None = None

    @property
    def outcome(self) -> str:
        if self.comparison is None:
            return "start"
        if confirmed(self.comparison, self.p_value):
            return "confirmed"
        return "refuted" if self.worse_p_value < SIGNIFICANT else "not shown"

    @property
    def kept(self) -> bool:
        return self.outcome in ("start", "confirmed") and self.better is None

    @property
    def verdict(self) -> str:
        """The outcome, and what was done with the change."""
        if self.better:
            return f"{self.outcome}, but {self.better} improves more"
        return f"{self.outcome}, {'kept' if self.kept else 'rejected'}"


def confirmed(comparison: PairedTest, p_value: float) -> bool:
    """Whether the metric or the loss is significantly better, and the metric is not worse."""
    return comparison.difference >= 0 and p_value < SIGNIFICANT


def corrected(comparisons: Sequence[PairedTest]) -> list[float]:
    """Of each comparison with the same model the smaller p-value, of the metric or of the loss.

    All p-values are adjusted together (S. Holm, 1979, A Simple Sequentially Rejective Multiple Test
    Procedure), whatever their dependence: the chance that any of these comparisons confirms what
    does not help is SIGNIFICANT. That of a single one is doubled.
    """
    pairs = [(test.p_value, test.loss_p_value) for test in comparisons]
    adjusted = iter(holm([p_value for pair in pairs for p_value in pair]))
    return [min(pair) for pair in zip(adjusted, adjusted, strict=True)]


def worse(comparisons: Sequence[PairedTest]) -> list[float]:
    """The p-values that each is worse than the same model, adjusted together as well."""
    return holm([test.worse_p_value for test in comparisons])


def outdone(steps: Sequence[Step]) -> list[Step]:
    """The steps that were made side by side, of which the best alone is kept, if any is."""
    winner = max((step for step in steps if step.kept), key=improvement, default=None)
    if winner is None or winner.change is None:
        return list(steps)
    return [
        replace(step, better=winner.change.name) if step.kept and step is not winner else step
        for step in steps
    ]


def improvement(step: Step) -> tuple[float, float]:
    """Which of two kept steps is better: that of the metric, then that of the loss."""
    assert step.comparison is not None
    return step.comparison.difference, -step.comparison.loss_p_value


def paragraphs(number: int, step: Step) -> list[str]:
    """One step in the ledger."""
    experiment, change, comparison = step.experiment, step.change, step.comparison
    judged, diagnosis = experiment.scores.judged, experiment.diagnosis
    measure = judged.measure
    score = (
        f"Validation {measure.words} **{measure.figure(judged.value)}** on {len(judged):,} examples"
        f" (`{experiment.name}`)."
    )
    verdict = f"Verdict {diagnosis.verdict}: {diagnosis.sentence}."
    loss = "the loss" if measure.unit is None else "the squared error"
    if change is None or comparison is None:
        return [f"## {number}. Start", score, verdict]
    if comparison.paired:
        method = "pair by pair"
    else:
        method = "not in pairs, as the validation examples differ"
    return [
        f"## {number}. {change.name}: {step.verdict}",
        f"Hypothesis: {change.reason}.",
        f"`{change.command()}`",
        *side_by_side(step),
        score,
        f"{measure.change(comparison.difference)} against the best so far, {method}:"
        f" p = {comparison.p_value:.2g}, and {comparison.loss_p_value:.2g} for {loss};"
        f" {correction(step)}.",
        verdict,
    ]


def side_by_side(step: Step) -> list[str]:
    """With which other changes it was tried, if any."""
    if not step.beside:
        return []
    again = f" It may be tried again on top of {step.better}." if step.better else ""
    return [
        f"Tried side by side with {', '.join(step.beside)}: each against the same best so far, and"
        f" of those confirmed the one that improves most is kept.{again}"
    ]


def correction(step: Step) -> str:
    if not step.beside:
        return "the smaller one is doubled"
    count = 2 * (len(step.beside) + 1)
    return f"the smaller one is {step.p_value:.2g} after Holm's correction for all {count} of them"
