"""What the analyses share: their options, their trainings, and how they report.

Each ends in a sentence, a table and a picture: on the terminal, in reports/<name>.md and .png, and
in MLflow.
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
from pipeline.config.params import NONE, Params
from pipeline.files import artifacts, atomic, digests
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.reporting import tables
from pipeline.reporting.drawing import figure
from pipeline.reporting.measure import Measure
from pipeline.reporting.metrics import ACCURACY, METRICS
from pipeline.search import cached_training, engine
from pipeline.search.cached_training import CachedTraining, TrainingResult
from pipeline.search.change import Change
from pipeline.search.engine import Engine
from pipeline.search.mlflow_runs import AnalysisRun

QUICK = {"preprocess.subset": 1000, "train.epochs": 1}
OF_CLASSES = ("labels", "shrink")  # what does not take a model that gives a number
BY_METRIC = ("folds", "shrink")  # what compares by problem.metric, but not by group
SECTIONS = ("preprocess", "train")  # of params.yaml: all that a training depends on


@dataclass(frozen=True)
class AnalysisOptions:
    """What every analysis takes from the command line; `overrides` are KEY=VALUE.

    `metric` is what to compare by instead of problem.metric, where an analysis takes that.
    """

    overrides: Sequence[str] = ()
    workers: int = 1
    quick: bool = False
    cluster: str | None = None
    metric: str | None = None

    @property
    def engine(self) -> Engine:
        """Where the trainings run. Raises UserError."""
        return Engine(self.workers, self.cluster)


@dataclass(frozen=True)
class AnalysisReport:
    """A sentence, a table, figures for MLflow, and notes on the method."""

    sentence: str
    columns: Sequence[str]
    table: Sequence[Sequence[str]]
    figures: Mapping[str, float]
    notes: Sequence[str] = field(default_factory=list)


def check_trains(settings: Params) -> None:
    """Raises UserError if params.yaml names a model, so that none is trained."""
    if settings.model.is_given:
        raise UserError(
            f"this command trains models, but model.path is {settings.model.path}; expected {NONE}"
        )


def check_answers(settings: Params) -> None:
    """Raises UserError if the model gives numbers, for what compares right and wrong answers."""
    check_trains(settings)
    if settings.problem.unit is not None:
        raise UserError(
            f"problem.unit is {settings.problem.unit}, so the model gives a number, and this "
            "compares right and wrong answers; these compare errors: `edgeproof folds`, "
            "`improve`, `sweep`, `batch-size`, `learning-rate` and `data-size`"
        )


def remark(settings: Params, metric: str) -> str:
    """That an analysis compares by another metric than the model is judged by; else empty."""
    name = settings.problem.metric
    if name == metric:
        return ""
    return (
        f"This compares {METRICS[metric].words}, and problem.metric is {name}; `edgeproof improve` "
        "compares by it."
    )


class Analysis:
    """One analysis with its settings. Equal settings, data and params have an equal title."""

    def __init__(self, name: str, options: AnalysisOptions, **settings: Any) -> None:
        self.name = name
        self.engine = options.engine
        self.overrides = {**parsed(options.overrides), **(QUICK if options.quick else {})}
        self.params = override(params.load(), self.overrides)
        check = check_answers if name in OF_CLASSES or "by" in settings else check_trains
        check(self.params)
        by_metric = name in BY_METRIC and "by" not in settings
        chosen = options.metric or self.params.problem.metric
        self.metric = chosen if by_metric else ACCURACY
        if note := remark(self.params, self.metric):
            print(f"note: {note}", flush=True)
        facts = [
            self.params.model_dump_json(include=set(SECTIONS)),
            *cached_training.data_digests(),
            json.dumps(settings, sort_keys=True),
            *([] if self.metric == ACCURACY else [self.metric]),
        ]
        self.title = f"{name}-{digests.of_facts(facts)[:8]}"

    @property
    def measure(self) -> Measure:
        """What trainings are compared by, on the validation set."""
        unit = self.params.problem.unit
        return Measure("validation accuracy" if unit is None else "validation error", unit)

    def results(self, trainings: Sequence[CachedTraining]) -> list[TrainingResult]:
        """The result of each training, from the cache or trained now. Raises UserError.

        Each is logged to MLflow as a child of this analysis.
        """
        count = len(trainings)
        self.engine.check(count, "trainings")
        run = AnalysisRun(self.title)
        results: dict[int, TrainingResult] = {}
        for index, training in enumerate(trainings):
            result = training.cached()
            if result is not None:
                results[index] = result
                run.log_training(training.name, training.values, result)
        if results:
            print(f"{len(results)} of {counted(count, 'training')} already done", flush=True)
        todo = [index for index in range(count) if index not in results]
        tasks = [trainings[index] for index in todo]
        for number, result in engine.results(tasks, self.engine, self.describe):
            training = tasks[number]
            results[todo[number]] = result
            run.log_training(training.name, training.values, result)
        return [results[index] for index in range(count)]

    def describe(self, training: CachedTraining, result: TrainingResult) -> str:
        """The line of a training that has ended, with the metric that the analysis compares."""
        name, score = result.measure.replace("_", " "), result.score
        if self.metric != ACCURACY:
            judged = training.judged(self.params, self.metric)
            name, score = judged.measure.words, judged.value
        seconds = f"{result.seconds:.1f} s"
        return f"{training.name}: {name} {score:.4f}, loss {result.loss:.4f}, {seconds}"

    def command(self, overrides: Mapping[str, Any]) -> str:
        """The DVC experiment that trains with `overrides`, to paste into a shell."""
        return Change("", {**self.overrides, **overrides}, "").command()

    def publish(
        self,
        report: AnalysisReport,
        draw: Callable[[Any], None],
        size: tuple[float, float] = (7, 4.5),
    ) -> None:
        """Shows the report on the terminal, writes it to reports/, and logs it to MLflow.

        `draw` gets the matplotlib figure of the picture; `size` is in inches.
        """
        page, picture = (artifacts.REPORTS / f"{self.name}.{suffix}" for suffix in ("md", "png"))
        with figure(picture, size) as drawn:
            draw(drawn)
        atomic.write_text(page, self._markdown(report, picture.name))
        table = Table()
        for column in report.columns:
            table.add_column(column, overflow="fold")
        for row in report.table:
            table.add_row(*row)
        console = Console(soft_wrap=True, highlight=False)
        console.print(table)
        console.print(f"{report.sentence}\nReport: {page}, {picture}", markup=False)
        AnalysisRun(self.title).finish(report.sentence, [page, picture], report.figures)

    def _markdown(self, report: AnalysisReport, picture: str) -> str:
        arguments = Change("", self.overrides, "").arguments()
        start = ", ".join(argument for argument in arguments if argument != "-S") or "params.yaml"
        parts = [
            f"# {self.title}",
            f"Start: `{start}`",
            f"**{report.sentence}**",
            tables.table(report.columns, report.table),
            *report.notes,
            *filter(None, [remark(self.params, self.metric)]),
            f"![]({picture})",
        ]
        return "\n\n".join(parts) + "\n"


def override(settings: Params, overrides: Mapping[str, Any]) -> Params:
    """`settings` with `overrides`, which may only change a training. Raises UserError."""
    for key in overrides:
        if key.split(".")[0] not in SECTIONS:
            raise UserError(
                f"{key} does not change a training; expected a key of"
                f" {' or '.join(SECTIONS)} in params.yaml"
            )
        if key == "preprocess.corrections":
            raise UserError(f"{key} is the same for all trainings; set it in params.yaml")
    return params.override(settings, overrides)
