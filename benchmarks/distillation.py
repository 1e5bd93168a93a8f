"""Does a small network learn more from a larger one? Accuracy and processor time, seed by seed.

    python -m benchmarks.distillation [--images 20000] [--epochs 16] [--seeds 3]

A teacher, `edge`, and small networks learn from the same images of MNIST and of Fashion-MNIST, with
the recipe that `edgeproof start` proposes for that number. Then it compares, on the test set, plain
training and one with the teacher; where the teacher is furthest ahead, also averages of the weights
and a longer plain training, which takes the processor as long as the lessons. Temperature and
weight of the lessons are those that were best on validation images. Finished trainings are kept in
.state/distillation, so the same command goes on after Ctrl-C. Writes benchmarks/distillation.md.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from pipeline.config import params
from pipeline.config.params import Dataset, Params
from pipeline.datasets import Raw, fashion_mnist, mnist
from pipeline.files import artifacts, atomic
from pipeline.planning import cost
from pipeline.process import imports
from pipeline.process.words import percent
from pipeline.reporting.tables import table

PAGE = Path("benchmarks/distillation.md")
FOLDER = artifacts.STATE / "distillation"
DATA: dict[str, Callable[[Dataset], Raw]] = {
    "fashion_mnist": fashion_mnist.load,
    "mnist": mnist.load,
}
VALIDATION = slice(50_000, 60_000)  # of the training images
RECIPE: dict[str, Any] = {"train.batch_size": 128, "train.learning_rate": 0.005}
NETWORKS: dict[str, dict[str, Any]] = {
    "edge": {"train.architecture": "edge"},
    "tiny": {"train.architecture": "tiny"},
    "4 6 8 10": {"train.architecture": "tiny", "train.network.hidden": [4, 6, 8, 10]},
}
STUDENTS = ("4 6 8 10", "tiny")
HARDEST = "fashion_mnist"  # where the teacher is furthest ahead
AVERAGES = {
    "train.optimizer.config.use_ema": True,
    "train.optimizer.config.ema_momentum": 0.99,
}
LONGER = 1.4  # as long as the lessons of `edge` take these networks
TEACHER_SEED = 100
SMOOTHING = "train.loss.config.label_smoothing"
LESSON = (1.0, 0.5)  # temperature and weight: the first of TRIED by validation accuracy
# Temperature, weight, and whether the teacher learned from smoothed labels, as params.yaml says.
TRIED = (
    ("tiny", 0, 1.0, 0.5, True),
    ("tiny", 0, 4.0, 0.5, True),
    ("tiny", 0, 1.0, 0.9, True),
    ("4 6 8 10", 1, 1.0, 0.5, True),
    ("4 6 8 10", 1, 1.0, 0.9, True),
    ("4 6 8 10", 1, 2.0, 0.5, False),
)
COLUMNS = ("data", "network", "training", "test accuracy", "of each seed", "gain", "seconds")
TRIED_COLUMNS = (
    *("network", "seed", "temperature", "weight", "labels of the teacher"),
    *("plain", "taught"),
)


@dataclass(frozen=True)
class TrainingSetup:
    """What is trained, and how; with a `lesson`, by the teacher of the same images."""

    dataset: str
    network: str
    seed: int
    images: int
    epochs: int
    averages: bool = False
    smoothed: bool = True  # the labels, or those of the teacher
    lesson: tuple[float, float] | None = None

    @property
    def settings(self) -> Params:
        values = {**RECIPE, **NETWORKS[self.network], **(AVERAGES if self.averages else {})}
        values |= {"train.epochs": self.epochs, "train.seed": self.seed}
        if self.lesson is None and not self.smoothed:
            values[SMOOTHING] = 0.0
        return params.override(params.load(), values)

    @property
    def teacher(self) -> TrainingSetup:
        return replace(self, network="edge", seed=TEACHER_SEED, lesson=None)

    def path(self, suffix: str) -> Path:
        facts = [self.dataset, self.network.replace(" ", "-"), self.seed, self.images, self.epochs]
        facts += [self.averages, self.smoothed, *(self.lesson or ())]
        return FOLDER / ("_".join(map(str, facts)) + suffix)


@dataclass(frozen=True)
class NetworkScores:
    validation: float
    test: float
    seconds: float  # of the processor


def result(training: TrainingSetup) -> NetworkScores:
    """What it reached, now or when it was trained before."""
    path = training.path(".json")
    if not path.exists():
        if training.lesson is not None:
            result(training.teacher)
        artifacts.save_json(path, train(training))
    measured = NetworkScores(**artifacts.load_json(path))
    print(path.name, measured, flush=True)
    return measured


def train(training: TrainingSetup) -> dict[str, float]:
    with imports.keras_import():
        from benchmarks import taught
        from pipeline.training import (
            batch_normalization,
            compilation,
            fit,
            keras_files,
            models,
            transfer,
        )
        from pipeline.training.batches import Data
        from pipeline.training.checkpoint import Checkpointing

    raw = data(training.dataset)
    parts = (slice(0, training.images), VALIDATION)
    splits = [(raw.train_images[part], raw.train_labels[part]) for part in parts]
    known = Data(splits[0], splits[1], 10)
    settings = training.settings.train
    start = time.process_time()
    keras_files.make_deterministic()
    model = batch_normalization.fused(models.build(settings, known))
    network = models.with_augmentation(settings, model, known)
    if training.lesson is not None:
        teacher = keras_files.load(training.teacher.path(".keras"))
        network = taught.Taught(network, teacher, taught.Lesson(*training.lesson))
    steps = settings.epochs * math.ceil(training.images / known.batch(settings.batch_size))
    compilation.compile_for(settings, network, settings.learning_rate, steps)
    with tempfile.TemporaryDirectory() as folder:
        checkpointing = Checkpointing(Path(folder), settings, training.images, lambda row: None)
        (phase,) = transfer.phases(settings, 0)
        fit.run_phase(settings, network, known, phase, [checkpointing])
        checkpointing.set_model(network)
        checkpointing.load_best()
    seconds = time.process_time() - start
    trained = models.inference_model(model, settings, known)
    if training.network == "edge":
        keras_files.save(training.path(".keras"), trained)
    splits.append((raw.test_images, raw.test_labels))
    validation, test = (
        float((keras_files.probabilities(trained, images).argmax(1) == labels).mean())
        for images, labels in splits[1:]
    )
    return {"validation": validation, "test": test, "seconds": seconds}


def data(name: str) -> Raw:
    return DATA[name](params.load().dataset.model_copy(update={"name": name}))


@dataclass(frozen=True)
class Comparison:
    """The seeds of a network trained in one way, beside the plain trainings of the same seeds."""

    way: str
    results: Sequence[NetworkScores]
    plain: Sequence[NetworkScores]

    def row(self) -> list[str]:
        accuracies = [result.test for result in self.results]
        gains = [
            student.test - other.test
            for student, other in zip(self.results, self.plain, strict=True)
        ]
        error = np.std(gains, ddof=1) / np.sqrt(len(gains))
        mean = round(100 * float(np.mean(gains)), 2) + 0.0  # no -0.00
        gain = f"{mean:+.2f} ± {100 * error:.2f}"
        return [
            self.way,
            percent(float(np.mean(accuracies))),
            ", ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies),
            "" if self.results is self.plain else gain,
            f"{np.mean([result.seconds for result in self.results]):.0f}",
        ]


def compared(dataset: str, network: str, images: int, epochs: int, seeds: int) -> list[list[str]]:
    """The rows of a network."""
    start = TrainingSetup(dataset, network, 0, images, epochs)
    ways = {"plain": start, "taught by `edge`": replace(start, lesson=LESSON)}
    if dataset == HARDEST:
        longer = round(LONGER * epochs)
        ways[f"plain, {longer} epochs"] = replace(start, epochs=longer)
        ways["averages of the weights"] = replace(start, averages=True)
    results = {
        way: [result(replace(training, seed=seed)) for seed in range(1, seeds + 1)]
        for way, training in ways.items()
    }
    return [
        [dataset, network, *Comparison(way, of_way, results["plain"]).row()]
        for way, of_way in results.items()
    ]


def tried(images: int, epochs: int) -> list[list[str]]:
    """The validation accuracy that each setting of the lessons gained, on Fashion-MNIST."""
    rows = []
    for network, seed, temperature, weight, smoothed in TRIED:
        plain = TrainingSetup("fashion_mnist", network, seed, images, epochs)
        lesson = replace(plain, lesson=(temperature, weight), smoothed=smoothed)
        before, after = result(plain).validation, result(lesson).validation
        labels = "smoothed" if smoothed else "as they are"
        shown = [percent(before), percent(after)]
        rows.append([network, f"{seed}", f"{temperature:g}", f"{weight:g}", labels, *shown])
    return rows


def size(network: str) -> int:
    """The bytes of the int8 file."""
    settings = TrainingSetup("mnist", network, 0, 1, 1).settings
    return cost.files(settings, cost.Shape((28, 28, 1), 10)).integer_bytes


def about(images: int, epochs: int) -> str:
    """What the tables are of."""
    results = {
        dataset: result(TrainingSetup(dataset, "edge", TEACHER_SEED, images, epochs))
        for dataset in DATA
    }
    teachers = " and ".join(
        f"{percent(scores.test)} of the test images of {dataset}"
        for dataset, scores in results.items()
    )
    sizes = ", ".join(f"`{network}` {size(network):,}" for network in NETWORKS)
    return (
        "`python -m benchmarks.distillation` makes this page. `edge` is the teacher: it "
        f"classifies {teachers} correctly. `4 6 8 10` is `tiny` with these numbers of filters. "
        "Bytes of the int8 files, as "
        f"`edgeproof start` foresees them: {sizes}. All learn from {images:,} images in batches of "
        f"128, in {epochs} epochs if no other number is given. A gain is in points, beside the "
        "plain trainings of the same seeds, ± its standard error; the last column is the "
        "processor's time for one training, in seconds."
    )


def page(images: int, epochs: int, seeds: int) -> str:
    """Trains what is not trained yet."""
    lessons = tried(images, epochs)
    rows = [
        row
        for dataset in DATA
        for network in STUDENTS
        for row in compared(dataset, network, images, epochs, seeds)
    ]
    return "\n\n".join(
        [
            "# What a small network learns from a larger one",
            about(images, epochs),
            table(COLUMNS, rows),
            "## Temperature and weight",
            "Validation accuracy on Fashion-MNIST without and with the teacher, by which the "
            "settings of the table above were chosen.",
            table(TRIED_COLUMNS, lessons),
            f"Measured on {machine.sentence()}, beside other work.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distillation")
    for name, value in (("--images", 20_000), ("--epochs", 16), ("--seeds", 3)):
        parser.add_argument(name, type=int, default=value)
    options = parser.parse_args()
    if options.images > VALIDATION.start or options.seeds < 2:
        parser.error(f"expected at most {VALIDATION.start:,} images, and at least 2 seeds")
    text = page(options.images, options.epochs, options.seeds)
    atomic.write_text(PAGE, text + "\n")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
