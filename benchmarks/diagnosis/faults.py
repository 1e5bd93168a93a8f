"""Small real trainings with an injected fault, and healthy ones, to evaluate the diagnosis.

    python -m benchmarks.diagnosis.faults          trains missing cases; can be stopped and resumed
    python -m benchmarks.diagnosis.faults --quick  one seed of each kind, into a temporary folder

Each training writes its learning curves to `corpus/<kind>/<dataset>-<seed>.csv`, and the evidence
from data and layers to a `.json` beside them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.diagnosis.cases import CASES, HEALTHY, Case, Split
from pipeline.config import params
from pipeline.datasets import Raw, fashion_mnist, mnist
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.inputs import pixels
from pipeline.process import stage
from pipeline.training import keras_files, layer_statistics, learning_curves
from pipeline.training.learning_curves import EPOCH, LEARNING_RATE

CORPUS = Path(__file__).parent / "corpus"
DATASETS = {"mnist": mnist, "fashion_mnist": fashion_mnist}
TARGETS = {"mnist": 0.9, "fashion_mnist": 0.75}  # reachable with a few thousand images
SEEDS = 10
HEALTHY_SEEDS = 40  # a low rate of false alarms takes many healthy trainings to prove
PROBE = 256


class RecordsCurves(keras.callbacks.Callback):
    """Collects the rows of learning_curves.csv."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[learning_curves.Row] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        measures = learning_curves.measures(logs)
        rate = float(self.model.optimizer.learning_rate)
        self.rows.append({EPOCH: epoch + 1.0, **measures, LEARNING_RATE: rate})


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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis.faults")
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
