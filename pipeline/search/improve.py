"""The loop of the lectures, by itself: train, say what is wrong, change one thing, train again, until the target holds.

    edgeproof improve --budget 12
    edgeproof improve -S train.architecture=mlp -S preprocess.subset=10000

Each step is a DVC experiment with a hypothesis. It is compared with the best so far on validation alone, by paired tests,
and kept or rejected; the test set waits for `dvc repro`. reports/improvement.md tells the story, and so does a run in
MLflow with the trainings as its children. What is finished is never trained again: after Ctrl-C the same command goes on, in
the midst of a training too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.overrides import parsed, written
from pipeline.files import artifacts, atomic
from pipeline.process import stage
from pipeline.reporting import statistics
from pipeline.search import dvc_experiment, paired_test
from pipeline.search.advise import advise
from pipeline.search.dvc_experiment import Trained
from pipeline.search.paired_test import Comparison
from pipeline.search.remedies import Change
from pipeline.tracking import runs

LEDGER = artifacts.REPORTS / "improvement.md"
CERTAIN = 0.05  # at most this often is a model that is no better confirmed, or one that is no worse refuted
QUICK = {"preprocess.subset": 2000, "train.epochs": 2}


@dataclass(frozen=True)
class Step:
    """A line of the ledger."""

    trained: Trained
    change: Change | None
    comparison: Comparison | None

    @property
    def outcome(self) -> str:
        if self.comparison is None:
            return "start"
        if confirmed(self.comparison):
            return "confirmed"
        return "refuted" if self.comparison.worse_p_value < CERTAIN else "not shown"

    @property
    def kept(self) -> bool:
        return self.outcome in ("start", "confirmed")


def confirmed(found: Comparison) -> bool:
    """Whether accuracy or loss is better beyond chance, with an accuracy that is not lower.

    Of two tests the smaller p-value counts twice (S. Holm, 1979, A Simple Sequentially Rejective Multiple Test Procedure).
    """
    return found.difference >= 0 and 2 * min(found.p_value, found.loss_p_value) < CERTAIN


class Search:
    """Experiments from one starting point, each made once and then read."""

    def __init__(self, start: dict[str, Any], quick: bool) -> None:
        self.quick = quick
        self.start = {**start, **(QUICK if quick else {})}
        self.title = f"improve-{dvc_experiment.origin(self.start)[:8]}"
        self.steps: list[Step] = []
        self.parent: str | None = None

    def trained(self, overrides: dict[str, Any]) -> Trained:
        return dvc_experiment.trained(
            self.title, {**overrides, **(QUICK if self.quick else {})}, self.parent
        )

    def best(self) -> Trained:
        return next(step.trained for step in reversed(self.steps) if step.kept)

    def next_change(self) -> Change | None:
        """The best one's first advice that was not tried, and that changes something: --quick holds some values fixed."""
        tried = {step.change.name for step in self.steps if step.change and not step.kept}
        fixed = set(QUICK) if self.quick else set()
        advice = (
            change for change in advise(self.best().situation) if not set(change.overrides) <= fixed
        )
        return next((change for change in advice if change.name not in tried), None)

    def run(self, budget: int) -> None:
        """Trains until the target holds, nothing is left to advise, or `budget` trainings are done."""
        started = time.monotonic()
        self.parent = runs.tell(self.title, self.write(), {})
        print(
            f"step 1 of at most {budget}: the start; the lines of its epochs tell how long it takes",
            flush=True,
        )
        self.record(Step(self.trained(self.start), None, None))
        while len(self.steps) < budget and not self.reached():
            best, change = self.best(), self.next_change()
            if change is None:
                print("nothing is left to advise")
                return
            spent = time.monotonic() - started
            left = spent / len(self.steps) * (budget - len(self.steps))
            print(
                f"\nstep {len(self.steps) + 1} of at most {budget} (about {stage.duration(left)} left, if it takes them all)",
                flush=True,
            )
            print(f"{change.name}: {change.reason}", flush=True)
            trained = self.trained({**best.overrides, **change.overrides})
            self.record(Step(trained, change, paired_test.compare(trained.answers, best.answers)))

    def reached(self) -> bool:
        """Whether the whole 95 % interval of the best one's accuracy lies at or above the target: not by luck on validation."""
        best = self.best()
        low, _ = statistics.accuracy_interval(
            int(best.answers.right.sum()), len(best.answers.labels)
        )
        return low >= best.situation.params.problem.target

    def record(self, step: Step) -> None:
        self.steps.append(step)
        trained = step.trained
        print(
            f"{trained.experiment}: validation accuracy {trained.answers.accuracy:.4f}, {step.outcome}"
        )
        print(f"{trained.diagnosis['verdict']}: {trained.diagnosis['sentence']}")
        accuracy = {
            "trainings": len(self.steps),
            "best_validation_accuracy": self.best().answers.accuracy,
        }
        runs.tell(self.title, self.write(), accuracy)

    def write(self) -> Path:
        """The ledger."""
        start = (
            ", ".join(f"`{key}={written(value)}`" for key, value in self.start.items())
            or "params.yaml"
        )
        parts = [
            f"# {self.title}",
            f"Start: {start}",
            *(part for number, step in enumerate(self.steps, 1) for part in told(number, step)),
        ]
        LEDGER.parent.mkdir(exist_ok=True)
        with atomic.replacing(LEDGER) as temporary:
            temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        return LEDGER


def told(number: int, step: Step) -> list[str]:
    """The paragraphs of the ledger on one step."""
    trained, change, comparison = step.trained, step.change, step.comparison
    facts = f"Validation accuracy **{trained.answers.accuracy:.4f}** on {len(trained.answers.labels):,} examples (`{trained.experiment}`)."
    verdict = f"Verdict {trained.diagnosis['verdict']}: {trained.diagnosis['sentence']}."
    if change is None or comparison is None:
        return [f"## {number}. Start", facts, verdict]
    how = (
        "pair by pair"
        if comparison.paired
        else "not in pairs, since the validation examples are others"
    )
    chance = f"p = {comparison.p_value:.2g}, of the loss {comparison.loss_p_value:.2g}, of which the smaller counts twice"
    return [
        f"## {number}. {change.name}: {step.outcome}, {'kept' if step.kept else 'rejected'}",
        f"Hypothesis: {change.reason}.",
        f"`{change.command()}`",
        facts,
        f"{comparison.difference:+.4f} against the best so far, {how}: {chance}.",
        verdict,
    ]


def improve(overrides: Sequence[str], budget: int, quick: bool) -> None:
    """Runs the loop from these KEY=VALUE on, and says which experiment is the best. Raises UserError."""
    search = Search(parsed(overrides), quick)
    search.run(budget)
    runs.tell(search.title, search.write(), {}, finished=True)
    best = search.best()
    print(
        f"\nbest: {best.experiment}, validation accuracy {best.answers.accuracy:.4f}, target {best.situation.params.problem.target}"
        f" {'reached' if search.reached() else 'not reached'} with {len(search.steps)} trainings; {LEDGER} tells the story"
        f"\n`dvc exp apply {best.experiment}` and `edgeproof run` take it to the test set and the devices"
    )
