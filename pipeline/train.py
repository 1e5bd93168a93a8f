"""Stage 4: fit the chosen architecture, keep the best epoch, record the learning curves.

    python -m pipeline.train            KERAS_BACKEND=jax trains on JAX, the same file

Reads: data/prepared/{train,validation}. Writes: model/model.keras, evaluation/validation.npz,
reports/learning_curves.csv, reports/train.json.
While it runs it keeps its state in .state/train/<key> of the user's checkout; a killed training, of an experiment too, goes on
from its last whole epoch.
"""

from __future__ import annotations

import shutil
import statistics

import numpy as np

from pipeline.config import params
from pipeline.config.params import Train, Watch
from pipeline.files import artifacts, atomic, digests, predictions, timing_cache
from pipeline.process import imports, stage
from pipeline.tracking import runs
from pipeline.training import fingerprint, learning_curves
from pipeline.training.learning_curves import Row

with imports.keras_import():
    import keras

    from pipeline.training import fit, keras_files
    from pipeline.training.batches import Data
    from pipeline.training.fit import TrainedModel


def watchers(chosen: Watch, key: str) -> list[keras.callbacks.Callback]:
    folder = stage.home() / artifacts.STATE / "tensorboard" / key
    return (
        [keras.callbacks.TensorBoard(folder, histogram_freq=1, write_graph=False)]
        if chosen.tensorboard
        else []
    )


def print_row(row: Row, epochs: int) -> None:
    """Of an epoch out of so many at most; those that are left are taken to be as long as it was."""
    left = (epochs - row["epoch"]) * row["seconds"]
    print(
        f"epoch {row['epoch']:3.0f}: loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.4f}; "
        f"validation loss {row['validation_loss']:.4f}, accuracy {row['validation_accuracy']:.4f}; "
        f"rate {row['learning_rate']:.2g}; {row['seconds']:.1f} s, {row['images_per_second']:.0f} images/s"
        + (f"; about {stage.duration(left)} left" if left else ""),
        flush=True,
    )


def main() -> None:
    chosen = params.load()
    description = artifacts.load_description()
    data = Data(
        artifacts.load_split("train"),
        artifacts.load_split("validation"),
        len(description.class_names),
        description.highest,
    )
    files = sorted(
        path
        for split in ("train", "validation")
        for path in (artifacts.PREPARED / split).glob("*.npy")
    )
    key = fingerprint.of_training(chosen.train, map(artifacts.sha256, files))
    folder = stage.home() / artifacts.STATE / "train" / key
    with atomic.alone(folder):
        with runs.live(key) as log:

            def on_row(row: Row) -> None:
                print_row(row, chosen.train.epochs)
                log(row)

            trained = fit.fit(chosen.train, data, folder, on_row, watchers(chosen.watch, key))
        save(chosen.train, key, data, trained)
        runs.sync()
        shutil.rmtree(folder, ignore_errors=True)


def save(chosen: Train, key: str, data: Data, trained: TrainedModel) -> None:
    """Writes the outs."""
    measured = timing_cache.remember(
        f"train-{key}",
        [{name: row[name] for name in learning_curves.TIMES} for row in trained.rows],
    )
    rows = [{**row, **times} for row, times in zip(trained.rows, measured, strict=True)]
    kept = rows[trained.best - 1]
    summary = {
        "architecture": chosen.architecture,
        "parameters": trained.model.count_params(),
        "epochs": len(rows),
        "kept_epoch": trained.best,
        **{name: kept[name] for name in learning_curves.MEASURES},
        "training_seconds": sum(row["seconds"] for row in rows),
        "images_per_second": statistics.median(row["images_per_second"] for row in rows),
        "layers_at_start": trained.layers,
        "trained_before": chosen.starts_from_a_model,
        "backend": keras.backend.backend(),
        "devices": keras.distribution.list_devices(),
        "precision": chosen.precision,
        "training_key": key,
    }
    keras_files.save(artifacts.MODEL, trained.model)
    images, labels = data.validation
    with imports.quiet():
        probabilities = keras_files.probabilities(trained.model, images)
    predictions.save(
        artifacts.VALIDATION,
        predictions.Answers(probabilities, np.asarray(labels), digests.of_examples(images)),
    )
    learning_curves.save(artifacts.LEARNING_CURVES, rows)
    artifacts.save_json(artifacts.report("train"), summary)
    compared = ("parameters", "epochs", *learning_curves.MEASURES, "training_seconds")
    artifacts.save_json(artifacts.figures("train"), {name: summary[name] for name in compared})
    print(f"kept epoch {trained.best}: validation accuracy {kept['validation_accuracy']:.4f}")


if __name__ == "__main__":
    stage.run(main)
