"""The loop of the lectures: train, diagnose, change one thing, train again, until it suffices.

    edgeproof improve --budget 12
    edgeproof improve -S train.architecture=mlp -S preprocess.subset=10000

Each step is a DVC experiment with a hypothesis. It is compared with the best one so far by paired
tests on the validation set, and kept or rejected. The test set is not used. The steps are written
to reports/improvement.md and to an MLflow run, whose children are the trainings. A finished
training is never repeated: after Ctrl-C the same command continues, even within a training.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import params
from pipeline.config.overrides import Overrides, parsed, written
from pipeline.files import artifacts, atomic
from pipeline.process import stage
from pipeline.process.words import counted
from pipeline.search import dvc_experiment, paired_test
from pipeline.search.advise import advise
from pipeline.search.analysis import check_answers
from pipeline.search.change import Change
from pipeline.search.dvc_experiment import Experiment
from pipeline.search.paired_test import PairedTest
from pipeline.tracking import runs

LEDGER = artifacts.REPORTS / "improvement.md"
SIGNIFICANT = 0.05  # the chance of confirming a change that does not help
QUICK = {"preprocess.subset": 2000, "train.epochs": 2}


@dataclass(frozen=True)
class Step:
    """One experiment of the loop. The first has neither a change nor a comparison."""

    experiment: Experiment
    change: Change | None
    comparison: PairedTest | None

    @property
    def outcome(self) -> str:
        if self.comparison is None:
            return "start"
        if confirmed(self.comparison):
            return "confirmed"
        return "refuted" if self.comparison.worse_p_value < SIGNIFICANT else "not shown"

    @property
    def kept(self) -> bool:
        return self.outcome in ("start", "confirmed")


def confirmed(comparison: PairedTest) -> bool:
    """Whether the metric or the loss is significantly better, and the metric is not lower.

    The smaller of the two p-values is doubled (S. Holm, 1979, A Simple Sequentially Rejective
    Multiple Test Procedure).
    """
    p_value = 2 * min(comparison.p_value, comparison.loss_p_value)
    return comparison.difference >= 0 and p_value < SIGNIFICANT


class Loop:
    """Experiments from one starting point, each run once and then read."""

    def __init__(self, start: Overrides, quick: bool) -> None:
        self.fixed = QUICK if quick else {}
        self.start = {**start, **self.fixed}
        self.title = f"improve-{dvc_experiment.digest(self.start)[:8]}"
        self.steps: list[Step] = []
        self.parent: str | None = None

    def experiment(self, overrides: Overrides) -> Experiment:
        return dvc_experiment.experiment(self.title, {**overrides, **self.fixed}, self.parent)

    def best(self) -> Experiment:
        return next(step.experiment for step in reversed(self.steps) if step.kept)

    def next_change(self) -> Change | None:
        """The first untried advice for the best experiment that changes more than --quick."""
        tried = {step.change.name for step in self.steps if step.change and not step.kept}
        for change in advise(self.best().situation):
            if change.name not in tried and not set(change.overrides) <= set(self.fixed):
                return change
        return None

    def run(self, budget: int) -> None:
        """Trains until the target is reached, no advice is left, or `budget` trainings are done."""
        started = time.monotonic()
        self.parent = runs.log_search(self.title, self.write(), {})
        print(f"step 1 of at most {budget}: the start", flush=True)
        self.record(Step(self.experiment(self.start), None, None))
        while len(self.steps) < budget and not self.reached():
            best, change = self.best(), self.next_change()
            if change is None:
                print("no advice is left")
                return
            per_step = (time.monotonic() - started) / len(self.steps)
            left = stage.duration(per_step * (budget - len(self.steps)))
            print(
                f"\nstep {len(self.steps) + 1} of at most {budget}"
                f" (about {left} left, if all are needed)\n{change.name}: {change.reason}",
                flush=True,
            )
            experiment = self.experiment({**best.overrides, **change.overrides})
            comparison = paired_test.compare(experiment.scores, best.scores)
            self.record(Step(experiment, change, comparison))

    def reached(self) -> bool:
        """Whether the 95 % interval of the best score lies at or above the target."""
        best = self.best()
        low, _ = best.scores.interval
        return low >= best.situation.params.problem.target

    def record(self, step: Step) -> None:
        self.steps.append(step)
        experiment = step.experiment
        scores = experiment.scores
        print(f"{experiment.name}: validation {scores.words} {scores.value:.4f}, {step.outcome}")
        print(f"{experiment.diagnosis.verdict}: {experiment.diagnosis.sentence}")
        metrics = {
            "trainings": len(self.steps),
            f"best_validation_{scores.words.replace(' ', '_')}": self.best().scores.value,
        }
        runs.log_search(self.title, self.write(), metrics)

    def write(self) -> Path:
        """Writes the ledger."""
        values = [f"`{key}={written(value)}`" for key, value in self.start.items()]
        parts = [f"# {self.title}", f"Start: {', '.join(values) or 'params.yaml'}"]
        for number, step in enumerate(self.steps, 1):
            parts += paragraphs(number, step)
        LEDGER.parent.mkdir(exist_ok=True)
        with atomic.replacing(LEDGER) as temporary:
            temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        return LEDGER

    def conclusion(self) -> str:
        best = self.best()
        return (
            f"best: {best.name}, validation {best.scores.words} {best.scores.value:.4f}, target"
            f" {best.situation.params.problem.target} {'' if self.reached() else 'not '}reached"
            f" with {counted(len(self.steps), 'training')}; see {LEDGER}"
            f"\nto test and export it: `dvc exp apply {best.name}`, then `edgeproof run`"
        )


def paragraphs(number: int, step: Step) -> list[str]:
    """One step in the ledger."""
    experiment, change, comparison = step.experiment, step.change, step.comparison
    scores, diagnosis = experiment.scores, experiment.diagnosis
    accuracy = (
        f"Validation {scores.words} **{scores.value:.4f}** on {len(scores.right):,} examples"
        f" (`{experiment.name}`)."
    )
    verdict = f"Verdict {diagnosis.verdict}: {diagnosis.sentence}."
    if change is None or comparison is None:
        return [f"## {number}. Start", accuracy, verdict]
    if comparison.paired:
        method = "pair by pair"
    else:
        method = "not in pairs, as the validation examples differ"
    return [
        f"## {number}. {change.name}: {step.outcome}, {'kept' if step.kept else 'rejected'}",
        f"Hypothesis: {change.reason}.",
        f"`{change.command()}`",
        accuracy,
        f"{comparison.difference:+.4f} against the best so far, {method}:"
        f" p = {comparison.p_value:.2g}, and {comparison.loss_p_value:.2g} for the loss;"
        " the smaller one is doubled.",
        verdict,
    ]


def improve(overrides: Sequence[str], budget: int, quick: bool) -> None:
    """Runs the loop from these KEY=VALUE, and prints which experiment is best. Raises UserError."""
    check_answers(params.load())
    loop = Loop(parsed(overrides), quick)
    loop.run(budget)
    runs.log_search(loop.title, loop.write(), {}, finished=True)
    print(f"\n{loop.conclusion()}")
