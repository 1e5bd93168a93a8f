"""What the questions of model selection share: their command line, how their trainings are made, and how they answer.

Each ends in a sentence, a table and a picture: on the terminal, in reports/<question>.md and .png, and in MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.config import params
from pipeline.config.overrides import parsed
from pipeline.config.params import Params
from pipeline.files import artifacts, atomic, digests
from pipeline.process.errors import UserError
from pipeline.reporting.drawing import figure
from pipeline.reporting.tables import markdown
from pipeline.search import cached_training, workers
from pipeline.search.cached_training import Result, Training
from pipeline.search.mlflow_runs import Story
from pipeline.search.remedies import Change

QUICK = {"preprocess.subset": 1000, "train.epochs": 1}
ASKED = ("preprocess", "train")  # the sections that a training follows from


@dataclass(frozen=True)
class Answer:
    """A sentence, a table, figures for MLflow, and notes on how they were come by."""

    sentence: str
    columns: Sequence[str]
    table: Sequence[Sequence[str]]
    figures: Mapping[str, float]
    notes: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """What every analysis takes from the command line; `overrides` are KEY=VALUE."""

    overrides: Sequence[str] = ()
    workers: int = 1
    quick: bool = False


class Question:
    """One question as it was asked: of which parameters, with how many workers."""

    def __init__(self, name: str, options: Options, **more: Any) -> None:
        if options.workers < 1:
            raise UserError(f"--workers is {options.workers}; expected an integer of at least 1")
        self.name = name
        self.workers = options.workers
        self.start = {**parsed(options.overrides), **(QUICK if options.quick else {})}
        self.chosen = changed(params.load(), self.start)
        facts = [
            self.chosen.model_dump_json(include=set(ASKED)),
            *cached_training.digests(),
            json.dumps(more, sort_keys=True),
        ]
        self.title = f"{name}-{digests.of_facts(facts)[:8]}"

    def results(self, trainings: Sequence[Training]) -> list[Result]:
        """What came of each: read where it was made before, else trained now; each a child in MLflow. Raises UserError."""
        if self.workers > len(trainings):
            raise UserError(
                f"--workers {self.workers} are more than there are trainings; allowed is 1 to {len(trainings)}"
            )
        story = Story(self.title)
        found = {
            index: result
            for index, training in enumerate(trainings)
            if (result := training.known()) is not None
        }
        if found:
            print(f"{len(found)} of {len(trainings)} trainings have been made before", flush=True)
        for index, result in found.items():
            story.child(trainings[index].name, trainings[index].values, result)
        todo = [index for index in range(len(trainings)) if index not in found]
        for number, result in workers.results(
            [trainings[index] for index in todo], self.workers, line
        ):
            index = todo[number]
            found[index] = result
            story.child(trainings[index].name, trainings[index].values, result)
        return [found[index] for index in range(len(trainings))]

    def command(self, overrides: Mapping[str, Any]) -> str:
        """The experiment that takes an answer into the line."""
        return Change("", {**self.start, **overrides}, "").command()

    def answer(
        self, answer: Answer, draw: Callable[[Any], None], size: tuple[float, float] = (7, 4.5)
    ) -> None:
        """Tells it: on the terminal, in reports/, in MLflow. `draw` is given the picture's figure, `size` is its inches."""
        report, picture = (artifacts.REPORTS / f"{self.name}.{suffix}" for suffix in ("md", "png"))
        with figure(picture, size) as drawn:
            draw(drawn)
        asked = (
            ", ".join(
                argument for argument in Change("", self.start, "").arguments() if argument != "-S"
            )
            or "params.yaml"
        )
        lines = [
            markdown(row) for row in (answer.columns, ["---"] * len(answer.columns), *answer.table)
        ]
        parts = [
            f"# {self.title}",
            f"Start: `{asked}`",
            f"**{answer.sentence}**",
            "\n".join(lines),
            *answer.notes,
            f"![]({picture.name})",
        ]
        with atomic.replacing(report) as temporary:
            temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        table = Table()
        for column in answer.columns:
            table.add_column(column, overflow="fold")
        for row in answer.table:
            table.add_row(*row)
        console = Console(soft_wrap=True, highlight=False)
        console.print(table)
        console.print(f"{answer.sentence}\n{report} and {picture} show it", markup=False)
        Story(self.title).end(answer.sentence, [report, picture], answer.figures)


def changed(chosen: Params, overrides: Mapping[str, Any]) -> Params:
    """`chosen` with these values, which must be such as a training follows from. Raises UserError."""
    for key in overrides:
        if key.split(".")[0] not in ASKED:
            raise UserError(
                f"{key} is no parameter of a training; allowed are those below {' and '.join(ASKED)} in params.yaml"
            )
    return params.override(chosen, overrides)


def line(training: Training, result: Result) -> str:
    return f"{training.name}: validation accuracy {result.accuracy:.4f}, loss {result.loss:.4f}, {result.seconds:.1f} s"
