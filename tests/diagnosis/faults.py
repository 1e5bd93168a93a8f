"""Small real trainings with an injected fault, and healthy ones, to evaluate the diagnosis.

    python -m tests.diagnosis.faults            trains missing cases; can be stopped and resumed
    python -m tests.diagnosis.faults --quick    one seed of each kind, into a temporary folder

Each training writes its learning curves to `corpus/<kind>/<dataset>-<seed>.csv`, and the evidence
from data and layers to a `.json` beside them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.config import params
from pipeline.datasets import Raw, fashion_mnist, mnist
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.inputs import pixels
from pipeline.process import stage
from pipeline.training import keras_files, layer_statistics, learning_curves

CORPUS = Path(__file__).parent / "corpus"
DATASETS = {"mnist": mnist, "fashion_mnist": fashion_mnist}
TARGETS = {"mnist": 0.9, "fashion_mnist": 0.75}  # reachable with a few thousand images
SEEDS = 10
HEALTHY_SEEDS = 40  # a low rate of false alarms takes many healthy trainings to prove
PROBE = 256

Split = tuple[Array, Array]


def dense(*units: int, activation: str = "relu", **options: Any) -> Callable[[], list[keras.Layer]]:
    return lambda: [
        layers.Flatten(),
        *[layers.Dense(count, activation=activation, **options) for count in units],
    ]


def dropped(*units: int, rate: float) -> Callable[[], list[keras.Layer]]:
    return lambda: [
        layers.Flatten(),
        *[
            layer
            for count in units
            for layer in (layers.Dense(count, activation="relu"), layers.Dropout(rate))
        ],
    ]


def convolution(normalized: bool) -> Callable[[], list[keras.Layer]]:
    def build() -> list[keras.Layer]:
        blocks: list[keras.Layer] = []
        for filters in (8, 16):
            normalization = [layers.BatchNormalization(momentum=0.9)] if normalized else []
            blocks += [
                layers.Conv2D(filters, 3, use_bias=not normalized),
                *normalization,
                layers.ReLU(),
                layers.MaxPooling2D(),
            ]
        return [*blocks, layers.Flatten(), layers.Dropout(0.3)]

    return build


@dataclass(frozen=True)
class Case:
    """A training; `train` and `validation` are counts of images, `change` alters validation."""

    hidden: Callable[[], list[keras.Layer]] = field(default_factory=lambda: dense(64))
    optimizer: str = "Adam"
    learning_rate: float = 1e-3
    cosine: bool = False
    epochs: int = 20
    patience: int | None = None
    train: int = 3000
    validation: int = 1000
    noisy_labels: float = 0.0
    change: Callable[[np.random.Generator, Split, Split], Split] = lambda rng, train, validation: (
        validation
    )


def leaked(rng: np.random.Generator, train: Split, validation: Split) -> Split:
    """A part of validation repeats training images, in half of the cases with a little noise."""
    share, count = rng.uniform(0.3, 1.0), len(validation[1])
    rows = rng.integers(0, len(train[1]), count)
    copies = train[0][rows].astype(float) + rng.normal(0, rng.choice([0, 6]), (count, 28, 28, 1))
    leak = rng.random(count) < share
    images = np.where(
        leak[:, None, None, None], copies.clip(0, 255).astype(np.uint8), validation[0]
    )
    return images, np.where(leak, train[1][rows], validation[1])


def shifted(rng: np.random.Generator, train: Split, validation: Split) -> Split:
    """Validation comes from another camera: darker, moved, noisy or inverted."""
    images, labels = validation
    kind = rng.integers(4)
    if kind == 0:
        return (images * 0.4).astype(np.uint8), labels
    if kind == 1:
        return np.roll(images, (3, 3), (1, 2)), labels
    if kind == 2:
        return (images + rng.normal(0, 80, images.shape)).clip(0, 255).astype(np.uint8), labels
    return 255 - images, labels


def minus(value: float) -> keras.initializers.Initializer:
    return keras.initializers.Constant(-value)


def normal(deviation: float) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=deviation)


# Two variants of each, chosen by the seed.
CASES: dict[str, list[Case]] = {
    "too_little_capacity": [
        Case(dense(2, activation="tanh"), epochs=40, learning_rate=5e-3),
        Case(dense(3, 3, activation="tanh"), epochs=40, learning_rate=5e-3),
    ],
    "stopped_early": [
        Case(dense(128), "SGD", 0.02, epochs=4),
        Case(dense(64, 64), learning_rate=3e-4, epochs=4, train=2000),
    ],
    "too_much_capacity": [
        Case(dense(512, 256), epochs=60, train=400),
        Case(dense(1024), epochs=60, train=600),
    ],
    "learning_rate_too_high": [
        Case(dense(128, 64), "SGD", 8.0),
        Case(dense(128, 64), learning_rate=0.5),
    ],
    "learning_rate_too_low": [Case(dense(128), "SGD", 3e-4), Case(dense(64), learning_rate=1e-5)],
    "noisy_labels": [
        Case(dense(512), epochs=40, noisy_labels=0.3, train=2000),
        Case(dense(256, 128), epochs=30, noisy_labels=0.4),
    ],
    "leaked_validation": [
        Case(dense(256), change=leaked),
        Case(convolution(normalized=True), cosine=True, epochs=12, change=leaked),
    ],
    "shifted_validation": [
        Case(dense(128), change=shifted),
        Case(convolution(normalized=True), cosine=True, epochs=12, change=shifted),
    ],
    "tiny_validation": [
        Case(dense(64), validation=20),
        Case(dropped(128, rate=0.3), validation=40),
    ],
    "dead_relus": [
        Case(dense(128, 64, bias_initializer=minus(8.0)), learning_rate=1e-4),
        Case(dense(64, 64, 64, bias_initializer=minus(4.0)), "SGD", 0.01),
    ],
    "saturated_start": [
        Case(dense(128, 128, activation="tanh", kernel_initializer=normal(1.0))),
        Case(dense(128, 64, 64, kernel_initializer=normal(1.0)), "SGD", 1e-4),
    ],
    "vanishing_gradients": [
        Case(dense(*[32] * 8, activation="sigmoid")),
        Case(dense(*[64] * 6, activation="sigmoid"), "SGD", 0.1),
    ],
    "healthy_dropout": [
        Case(dropped(128, rate=0.4), cosine=True, train=6000),
        Case(dropped(64, 64, rate=0.3), cosine=True, train=8000),
    ],
    "healthy_convolution": [
        Case(convolution(normalized=True), cosine=True, epochs=12, train=6000, learning_rate=5e-3)
    ],
    "healthy_plain_convolution": [
        Case(convolution(normalized=False), cosine=True, epochs=15, train=6000, learning_rate=2e-3)
    ],
    "healthy_patient": [
        Case(dense(64), epochs=60, patience=3, train=6000),
        Case(dense(32, 32), epochs=60, patience=3, train=8000),
    ],
    "healthy_decayed": [
        Case(
            dense(64, kernel_regularizer=keras.regularizers.L2(1e-3)),
            cosine=True,
            epochs=25,
            train=8000,
        ),
        Case(dense(32), "SGD", 0.1, cosine=True, epochs=30, train=8000),
    ],
}
HEALTHY = tuple(kind for kind in CASES if kind.startswith("healthy"))


class RecordsCurves(keras.callbacks.Callback):
    """Collects the rows of learning_curves.csv."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[learning_curves.Row] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        measures = learning_curves.measures(logs)
        rate = float(self.model.optimizer.learning_rate)
        self.rows.append({"epoch": epoch + 1.0, **measures, "learning_rate": rate})


def train(
    case: Case, train: Split, validation: Split, seed: int
) -> tuple[list[learning_curves.Row], dict[str, float]]:
    """The learning curves, and the statistics of the layers before the first step."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input(train[0].shape[1:]),
            layers.Rescaling(1 / 255),
            *case.hidden(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    steps = case.epochs * -(-len(train[1]) // 64)
    rate = (
        keras.optimizers.schedules.CosineDecay(case.learning_rate, steps)
        if case.cosine
        else case.learning_rate
    )
    model.compile(
        getattr(keras.optimizers, case.optimizer)(rate),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,
    )
    layers_at_start = layer_statistics.measure(
        model, train[0][:PROBE], train[1][:PROBE], model.loss
    )
    callbacks: list[keras.callbacks.Callback] = [recorder := RecordsCurves()]
    if case.patience:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=case.patience))
    model.fit(
        *train,
        batch_size=64,
        epochs=case.epochs,
        validation_data=validation,
        validation_batch_size=1000,
        callbacks=callbacks,
        verbose=0,
    )
    return recorder.rows, layers_at_start


def make(kind: str, dataset: str, seed: int, path: Path) -> None:
    """Trains one case and writes its evidence and its curves.

    The curves are written last, so their existence means that the case is complete.
    """
    case = CASES[kind][seed % len(CASES[kind])]
    raw = load(dataset)
    rng = np.random.default_rng((seed, list(CASES).index(kind)))
    rows = rng.permutation(len(raw.train_labels))
    parts = rows[: case.train], rows[case.train : case.train + case.validation]
    fit, validation = (
        (raw.train_images[part], raw.train_labels[part].astype("int32")) for part in parts
    )
    if case.noisy_labels:
        fit, validation = (
            (images, with_noise(rng, labels, case.noisy_labels))
            for images, labels in (fit, validation)
        )
    validation = case.change(rng, fit, validation)
    curves, layers_at_start = train(case, fit, validation, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    context = {
        "target": TARGETS[dataset],
        "layers": layers_at_start,
        "evidence": asdict(pixels.evidence(fit[0], validation[0])),
    }
    artifacts.save_json(path.with_suffix(".json"), context)
    columns = list(curves[0])
    artifacts.save_csv(path, columns, [[f"{row[name]:.6g}" for name in columns] for row in curves])


def with_noise(rng: np.random.Generator, labels: Array, share: float) -> Array:
    """`share` of the labels (N,) replaced by random classes."""
    is_noisy, noise = rng.random(len(labels)) < share, rng.integers(0, 10, len(labels))
    return np.where(is_noisy, noise, labels).astype("int32")


@cache
def load(dataset: str) -> Raw:
    return DATASETS[dataset].load(params.load().dataset.model_copy(update={"name": dataset}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.diagnosis.faults")
    parser.add_argument(
        "--quick", action="store_true", help="one seed of each kind, into a temporary folder"
    )
    quick = parser.parse_args().quick
    folder = Path(tempfile.mkdtemp()) if quick else CORPUS
    names = list(DATASETS)
    todo = [
        (kind, names[seed // 2 % 2], seed)
        for seed in range(1 if quick else HEALTHY_SEEDS)
        for kind in (CASES if seed < SEEDS else HEALTHY)
    ]
    keras_files.make_deterministic()
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("training", total=len(todo))
        for kind, dataset, seed in todo:
            path = folder / kind / f"{dataset}-{seed}.csv"
            progress.update(task, description=f"{kind} {dataset} {seed}")
            if not path.exists():
                make(kind, dataset, seed, path)
            progress.advance(task)
    print(folder)


if __name__ == "__main__":
    stage.run(main)
