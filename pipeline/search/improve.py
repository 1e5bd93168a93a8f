"""The loop of the lectures: train, diagnose, change one thing, train again, until it suffices.

    edgeproof improve --budget 12
    edgeproof improve -S train.architecture=mlp -S preprocess.subset=10000
    edgeproof improve --cluster tcp://127.0.0.1:8786

Each step is a DVC experiment with a hypothesis. It is compared with the best one so far by paired
tests on the validation set, and kept or rejected. On a cluster a step tries as many changes as
trainings can run side by side, and keeps the best. The test set is not used. The steps are written
to reports/improvement.md and to an MLflow run, whose children are the trainings. A finished
training is never repeated: after Ctrl-C the same command continues, even within a training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import params
from pipeline.config.overrides import Overrides, parsed, written
from pipeline.files import artifacts, atomic
from pipeline.process import stage
from pipeline.process.words import counted
from pipeline.search import dvc_experiment, paired_test
from pipeline.search.advise import advise
from pipeline.search.analysis import check_trains
from pipeline.search.change import Change
from pipeline.search.dvc_experiment import Experiment, Experiments
from pipeline.search.engine import Engine
from pipeline.search.step import Step, corrected, outdone, paragraphs, worse
from pipeline.tracking import runs

LEDGER = artifacts.REPORTS / "improvement.md"
QUICK = {"preprocess.subset": 2000, "train.epochs": 2}


class Loop:
    """Experiments from one starting point, each run once and then read."""

    def __init__(self, start: Overrides, quick: bool, engine: Engine) -> None:
        self.fixed = QUICK if quick else {}
        self.start = {**start, **self.fixed}
        self.title = f"improve-{dvc_experiment.digest(self.start)[:8]}"
        self.experiments = Experiments(self.title, engine)
        self.steps: list[Step] = []
        self.parent: str | None = None

    def best(self) -> Experiment:
        return next(step.experiment for step in reversed(self.steps) if step.kept)

    def next_changes(self, count: int) -> list[Change]:
        """The first untried advices for the best experiment that change more than --quick.

        A confirmed change that another one outdid may be tried again, on top of that one.
        """
        tried = {
            step.change.name for step in self.steps if step.change and step.outcome != "confirmed"
        }
        advices = (
            change
            for change in advise(self.best().situation)
            if change.name not in tried and not set(change.overrides) <= set(self.fixed)
        )
        new, done = dict[str, Change](), {step.experiment.name for step in self.steps}
        for change in advices:
            name = self.experiments.name(self.changed(change))
            if name not in done:
                new.setdefault(name, change)
            if len(new) == count:
                break
        return list(new.values())

    def changed(self, change: Change) -> Overrides:
        """The overrides of the best experiment with a change."""
        return {**self.best().overrides, **change.overrides, **self.fixed}

    def run(self, budget: int) -> None:
        """Trains until the target is reached, no advice is left, or `budget` trainings are done."""
        started, rounds = time.monotonic(), 1
        self.parent = runs.log_search(self.title, self.write(), {})
        print(f"step 1 of at most {budget}: the start", flush=True)
        (start,) = self.experiments.run({"the start": self.start}, self.parent)
        self.record(Step(start))
        while (trials_left := budget - len(self.steps)) > 0 and not self.reached():
            changes = self.next_changes(min(trials_left, self.experiments.engine.side_by_side()))
            if not changes:
                print("no advice is left")
                return
            per_round = (time.monotonic() - started) / rounds
            self.announce(changes, budget, per_round * math.ceil(trials_left / len(changes)))
            self.attempt(changes)
            rounds += 1

    def announce(self, changes: Sequence[Change], budget: int, seconds: float) -> None:
        """Prints what is tried next, and how long all that the budget allows may take."""
        first, last = len(self.steps) + 1, len(self.steps) + len(changes)
        steps = f"step {first}" if first == last else f"steps {first} to {last}"
        together = "" if first == last else ", side by side"
        reasons = [f"{change.name}: {change.reason}" for change in changes]
        print(
            f"\n{steps} of at most {budget}{together}"
            f" (about {stage.duration(seconds)} left, if all are needed)",
            *reasons,
            sep="\n",
            flush=True,
        )

    def attempt(self, changes: Sequence[Change]) -> None:
        """Tries changes of the best experiment, and keeps the best of those that are confirmed."""
        best = self.best()
        several = {change.name: self.changed(change) for change in changes}
        experiments = self.experiments.run(several, self.parent)
        tests = [paired_test.compare(new.scores, best.scores) for new in experiments]
        steps = [
            Step(*facts, beside=[name for name in several if name != facts[1].name])
            for facts in zip(
                experiments, changes, tests, corrected(tests), worse(tests), strict=True
            )
        ]
        for step in outdone(steps):
            self.record(step)

    def reached(self) -> bool:
        """Whether the 95 % interval of the best score lies at the target or on its better side."""
        best = self.best()
        judged, target = best.scores.judged, best.situation.params.problem.target
        return all(judged.measure.sign * (end - target) >= 0 for end in judged.interval)

    def record(self, step: Step) -> None:
        self.steps.append(step)
        experiment = step.experiment
        score = experiment.score
        name, outcome = experiment.name, step.outcome
        if step.change and step.beside:
            name, outcome = f"{step.change.name} ({name})", step.verdict
        print(f"{name}: {score}, {outcome}")
        print(f"{experiment.diagnosis.verdict}: {experiment.diagnosis.sentence}")
        best = self.best().scores.judged
        key = f"best_validation_{best.measure.key}"
        metrics = {"trainings": len(self.steps), key: best.value}
        runs.log_search(self.title, self.write(), metrics)

    def write(self) -> Path:
        """Writes the ledger."""
        values = [f"`{key}={written(value)}`" for key, value in self.start.items()]
        parts = [f"# {self.title}", f"Start: {', '.join(values) or 'params.yaml'}"]
        for number, step in enumerate(self.steps, 1):
            parts += paragraphs(number, step)
        atomic.write_text(LEDGER, "\n\n".join(parts) + "\n")
        return LEDGER

    def conclusion(self) -> str:
        best = self.best()
        return (
            f"best: {best.name}, {best.score}, target"
            f" {best.situation.params.problem.target} {'' if self.reached() else 'not '}reached"
            f" with {counted(len(self.steps), 'training')}; see {LEDGER}"
            f"\nto test and export it: `dvc exp apply {best.name}`, then `edgeproof run`"
        )


def improve(overrides: Sequence[str], budget: int, quick: bool, cluster: str | None = None) -> None:
    """Runs the loop from these KEY=VALUE, and prints which experiment is best. Raises UserError."""
    check_trains(params.load())
    loop = Loop(parsed(overrides), quick, Engine(cluster=cluster))
    loop.run(budget)
    runs.log_search(loop.title, loop.write(), {}, finished=True)
    print(f"\n{loop.conclusion()}")
