"""How many trainings are to come, and how long they take, said before the first one begins."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from pipeline.config.params import Train
from pipeline.files.reports.preprocess import PreprocessReport
from pipeline.files.reports.train import TrainReport
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.search.engine import Engine


class FinishedTraining(Protocol):
    @property
    def seconds(self) -> float: ...


class PlannedTraining(Protocol):
    """What is known of a training before it begins."""

    @property
    def settings(self) -> Train: ...

    @property
    def examples(self) -> int:
        """Those of all epochs."""
        ...

    def cached(self) -> FinishedTraining | None: ...


def announce(trainings: Sequence[PlannedTraining], engine: Engine) -> None:
    """Prints how many trainings are to come, and how long they take if that can be known."""
    results = [training.cached() for training in trainings]
    todo = [training for training, result in zip(trainings, results, strict=True) if not result]
    if not todo:
        return
    done = [
        (training.examples, result.seconds)
        for training, result in zip(trainings, results, strict=True)
        if result
    ]
    print(
        f"{counted(len(todo), 'training')} of {counted(todo[0].settings.epochs, 'epoch')}, each on "
        f"{min(map(examples_an_epoch, todo)):,} examples or more; "
        f"{_time(todo, done or _last_training(todo[0]), engine)}",
        flush=True,
    )


def examples_an_epoch(training: PlannedTraining) -> int:
    return training.examples // training.settings.epochs


def _last_training(training: PlannedTraining) -> list[tuple[int, float]]:
    """The examples of the pipeline's last training and its seconds, if it was of this network."""
    with suppress(FileNotFoundError, UserError):
        last, data = TrainReport.load(), PreprocessReport.load()
        if last.architecture == training.settings.architecture:
            return [(last.epochs * data.splits["train"].images, last.training_seconds)]
    return []


def _time(
    todo: Sequence[PlannedTraining], done: Sequence[tuple[int, float]], engine: Engine
) -> str:
    """Features of frozen layers are computed before the epochs, and their time is not known."""
    if not done:
        return "how long they take is shown after the first two epochs"
    examples, seconds = map(sum, zip(*done, strict=True))
    total = seconds / examples * sum(training.examples for training in todo)
    if engine.cluster:
        return f"about {stage.duration(total)} of training, which the workers of the cluster share"
    total /= engine.workers
    return f"about {stage.duration(total)} for the epochs, at the speed of the last ones"
