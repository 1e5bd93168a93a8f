"""How good can a small file be? Int8 accuracy in a few kilobytes, as the mean of five seeds.

    python -m benchmarks.smallest [--goals NAME ...] [--seeds 5]

For each goal the pipeline runs up to `embed` in a copy of the project, in .state/smallest, as
`dvc exp run` would with the values of its row. The accuracy is that of the integer C on all test
images, and the bytes are those of the file it was made from, int8 or int4. The values were chosen
by the validation set. Finished seeds are kept, so the same command goes on after Ctrl-C.
Writes benchmarks/smallest.json and benchmarks/smallest.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ruamel.yaml import YAML

from benchmarks import machine, project, seeds
from benchmarks.seeds_page import deviation
from pipeline.config.overrides import Overrides
from pipeline.files import artifacts, atomic, digests
from pipeline.files.reports.embed import CMeasurements, EmbedReport, MicroMeasurements
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.train import TrainReport
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.process.words import percent
from pipeline.reporting.tables import table
from pipeline.search.change import Change

RESULTS = Path("benchmarks/smallest.json")
PAGE = Path("benchmarks/smallest.md")
FOLDER = artifacts.STATE / "smallest"
# What changes no model: only one file is made, and only what measures it.
FEWER: Overrides = {
    "export.formats": ["tflite_int8"],
    "verify.processors": ["native"],
    "embed.targets": ["c", "microcontroller"],
    "embed.programs": [],
}
COLUMNS = (
    *("goal", "bytes", "arena in C", "arena of TensorFlow Lite Micro", "test accuracy"),
    *("standard deviation", "range", "float32", "validation", "seconds"),
)


@dataclass(frozen=True)
class Goal:
    """What a file shall reach within its bytes, and the values of params.yaml that train it."""

    name: str
    bytes: int
    accuracy: float
    values: Overrides
    arena: int | None = None

    @property
    def title(self) -> str:
        arena = f" with an arena of {self.arena:,}" if self.arena else ""
        return f"{self.name}, {percent(self.accuracy)} in {self.bytes:,} bytes{arena}"

    @property
    def command(self) -> str:
        """The experiment that trains the first seed."""
        return Change("", self.values, "").command()

    def folder(self) -> Path:
        """Its results; another folder if anything they depend on changes."""
        return FOLDER / f"{self.name}-{digests.of_facts([seeds.key('embed'), repr(self.values)])}"


SMALL: Overrides = {
    "train.architecture": "tiny",
    "train.network.hidden": [8, 14, 20, 22],
    "train.network.normalization": ["none", "before", "before", "before"],
    "train.epochs": 24,
    "train.batch_size": 128,
    "train.learning_rate": 0.007,
    "train.optimizer.config.weight_decay": 0.05,
}
FOUR_BITS: Overrides = {
    "export.formats": ["tflite_int4"],
    "embed.format": "tflite_int4",
}
LARGER: Overrides = {**SMALL, **FOUR_BITS, "train.network.hidden": [10, 18, 28, 31]}
# Whole pixels are shifted: shifts between pixels blur the images
FASHION: Overrides = {
    "dataset.name": "fashion_mnist",
    "train.epochs": 40,
    "train.augmentation": [
        {"class_name": "RandomFlip", "config": {"mode": "horizontal"}},
        {
            "class_name": "RandomTranslation",
            "config": {
                "height_factor": 0.036,
                "width_factor": 0.036,
                "fill_mode": "constant",
                "interpolation": "nearest",
            },
        },
    ],
}
GOALS = (
    Goal("mnist-16", 16_000, 0.996, SMALL, 12_288),
    Goal("mnist-16-int4", 16_000, 0.996, LARGER, 12_288),
    Goal("fashion-60", 60_000, 0.93, FASHION),
)


@dataclass(frozen=True)
class SeedScores:
    """One seed. `seconds` are the processor's, for the training."""

    accuracy: float
    float_accuracy: float
    validation_accuracy: float
    bytes: int
    c_arena: int
    micro_arena: int
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What all seeds of a goal reached, and with which command."""

    command: str
    machine: str
    seeds: Sequence[SeedScores]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        return cls(**{**values, "seeds": [SeedScores(**seed) for seed in values["seeds"]]})


def result(goal: Goal, seed: int) -> SeedScores:
    """What a seed reached, now or when it ran before. Raises UserError."""
    path = goal.folder() / f"{seed}.json"
    if not path.exists():
        copy = path.with_suffix("")
        artifacts.save_json(path, asdict(run(goal.values, seed, copy)))
        shutil.rmtree(copy)
    measured = SeedScores(**artifacts.load_json(path))
    print(goal.name, seed, measured, flush=True)
    return measured


def run(values: Overrides, seed: int, copy: Path) -> SeedScores:
    """Runs the pipeline in `copy`, which may hold an interrupted run. Raises UserError."""
    project.fresh(copy)
    change(copy / "params.yaml", {**FEWER, **values, "train.seed": seed})
    repro(copy, "preprocess")
    before = machine.processor_seconds()
    repro(copy, "train")
    seconds = machine.processor_seconds() - before
    repro(copy, "embed")
    measured = [row.measured for row in EmbedReport.load(copy / EmbedReport.PATH).targets]
    (c,) = (part for part in measured if isinstance(part, CMeasurements))
    (micro,) = (part for part in measured if isinstance(part, MicroMeasurements))
    validation = TrainReport.load(copy / TrainReport.PATH).validation_accuracy
    assert validation is not None and c.accuracy is not None  # as they are for a number
    return SeedScores(
        accuracy=c.accuracy,
        float_accuracy=EvaluationReport.load(copy / EvaluationReport.PATH).test_accuracy,
        validation_accuracy=validation,
        bytes=micro.model_bytes,
        c_arena=c.arena_bytes,
        micro_arena=micro.arena_bytes_measured,
        seconds=seconds,
    )


def repro(folder: Path, last_stage: str) -> None:
    """Raises UserError if a stage fails."""
    log = folder.with_suffix(".log")
    if seeds.repro(folder, last_stage, log):
        raise UserError(f"{folder.name}: {seeds.last_line(log)}; see {log}")


def change(path: Path, values: Overrides) -> None:
    """Writes values of params.yaml by their dotted keys."""
    yaml = YAML(typ="safe")
    everything = yaml.load(path)
    for key, value in values.items():
        *sections, name = key.split(".")
        section = everything
        for part in sections:
            section = section[part]
        section[name] = value
    yaml.dump(everything, path)


def row(goal: Goal, results: Sequence[SeedScores]) -> list[str]:
    accuracies = [result.accuracy for result in results]
    mean = statistics.mean(accuracies)
    return [
        goal.title,
        f"{max(result.bytes for result in results):,}",
        f"{results[0].c_arena:,}",
        f"{results[0].micro_arena:,}",
        percent(mean),
        f"{100 * deviation(accuracies):.2f}",
        f"{100 * min(accuracies):.2f} to {percent(max(accuracies))}",
        percent(statistics.mean(result.float_accuracy for result in results)),
        percent(statistics.mean(result.validation_accuracy for result in results)),
        f"{statistics.mean(result.seconds for result in results):.0f}",
    ]


def page(measured: Mapping[str, Measured]) -> str:
    """The results of the goals, with the command that trains each."""
    goals = [goal for goal in GOALS if goal.name in measured]
    commands = [f"{goal.title}:\n\n```\n{goal.command}\n```" for goal in goals]
    counts = sorted({len(measured[goal.name].seeds) for goal in goals})
    machines = dict.fromkeys(measured[goal.name].machine for goal in goals)
    return "\n\n".join(
        [
            "# How good a small file can be",
            f"`python -m benchmarks.smallest` makes this page. Means of "
            f"{' or '.join(map(str, counts))} seeds. The test accuracy is that of the integer C "
            "on all test images. Bytes are those of the file that it is made from, `tflite_int8` "
            "or `tflite_int4`, the most of all seeds. The arenas are in bytes, that of TensorFlow "
            "Lite Micro as measured, without its margin. Seconds are the processor's, for one "
            "training, whose processor did other work at the same time. Network and recipe were "
            "chosen by the validation set.",
            table(COLUMNS, [row(goal, measured[goal.name].seeds) for goal in goals]),
            "## The commands",
            "Each trains the first seed, and proves its files. The next has `-S train.seed=1`.",
            *commands,
            f"Measured on {' and '.join(machines)}.",
        ]
    )


def load() -> dict[str, Measured]:
    """The goals that were measured as they are now."""
    if not RESULTS.exists():
        return {}
    read = {name: Measured.of(values) for name, values in artifacts.load_json(RESULTS).items()}
    commands = {goal.name: goal.command for goal in GOALS}
    return {
        name: network for name, network in read.items() if network.command == commands.get(name)
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.smallest")
    names = [goal.name for goal in GOALS]
    parser.add_argument("--goals", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N - 1")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("expected at least 2 seeds")
    for goal in (goal for goal in GOALS if goal.name in options.goals):
        results = [result(goal, seed) for seed in range(options.seeds)]
        measured = {**load(), goal.name: Measured(goal.command, machine.sentence(), results)}
        artifacts.save_json(RESULTS, {name: asdict(network) for name, network in measured.items()})
        atomic.write_text(PAGE, page(measured) + "\n")
        print(f"wrote {PAGE}")


if __name__ == "__main__":
    stage.run(main)
