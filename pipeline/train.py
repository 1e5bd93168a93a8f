"""Stage 4: fit the architecture, keep the best epoch, calibrate it, record the learning curves.

    python -m pipeline.train
    KERAS_BACKEND=jax python -m pipeline.train      trains on JAX

With `model.path` it trains nothing, and takes that model as it is.

Reads: data/prepared/{train,validation}. Writes: model/model.keras, evaluation/validation.npz,
reports/learning_curves.csv, reports/train.json.
With `train.processes` above 1 it starts itself that many times, and these ranks train together.
Checkpoints go to .state/train/<key> of the user's checkout, also for a DVC experiment, so an
interrupted training resumes after its last complete epoch.
"""

from __future__ import annotations

import dataclasses
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import params
from pipeline.config.own_model import OwnModel
from pipeline.config.params import Params, Train, Watch
from pipeline.files import artifacts, atomic, digests, predictions, split_files, timing_cache
from pipeline.files.artifacts import Description
from pipeline.files.reports.train import TrainReport
from pipeline.process import imports, ranks, stage
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.tracking import runs
from pipeline.training import fingerprint, learning_curves
from pipeline.training.learning_curves import (
    EPOCH,
    IMAGES_PER_SECOND,
    LEARNING_RATE,
    SECONDS,
    Row,
)

ranks.join()

with imports.keras_import():
    import keras

    from pipeline.training import checkpoint, fit, keras_files, own_model, temperature
    from pipeline.training.batches import Data
    from pipeline.training.fit import TrainedModel
    from pipeline.training.own_model import TakenModel
    from pipeline.training.temperature import Calibrated


def tensorboard(settings: Watch, key: str) -> list[keras.callbacks.Callback]:
    folder = stage.home() / artifacts.STATE / "tensorboard" / key
    return (
        [keras.callbacks.TensorBoard(folder, histogram_freq=1, write_graph=False)]
        if settings.tensorboard
        else []
    )


def print_row(row: Row, epochs: int) -> None:
    """One line per epoch. The time left assumes that the other epochs take as long as this one."""
    left = (epochs - row[EPOCH]) * row[SECONDS]
    time_left = f"; about {stage.duration(left)} left" if left else ""
    loss, score, validation_loss, validation_score = learning_curves.measured(row)
    name = score.removeprefix("train_")
    print(
        f"epoch {row[EPOCH]:3.0f}: loss {row[loss]:.4f}, {name} {row[score]:.4f}; "
        f"validation loss {row[validation_loss]:.4f}, {name} {row[validation_score]:.4f}; "
        f"rate {row[LEARNING_RATE]:.2g}; "
        f"{row[SECONDS]:.1f} s, {row[IMAGES_PER_SECOND]:.0f} examples/s{time_left}",
        flush=True,
    )


def main() -> None:
    settings = params.load()
    splits = split_files.load_split("train"), split_files.load_split("validation")
    description = artifacts.load_description()
    data = Data.described(*splits, description)
    data = dataclasses.replace(data, others=split_files.load_others("train"))
    data_digests = split_files.digests("train", "validation")
    if settings.model.is_given:
        take(settings.model, data, description, data_digests)
    else:
        train(settings, data, data_digests)


def take(settings: OwnModel, data: Data, description: Description, data_digests: list[str]) -> None:
    """Takes the model of `settings` as it is, and measures it as epoch 0."""
    own = own_model.take(settings, data, description.class_names)
    facts = [settings.model_dump_json(), own.origin.sha256, metadata.version("keras")]
    key = digests.of_facts([*facts, *data_digests])
    with imports.quiet():
        calibrated = temperature.measure(own.model, data.validation)
        row = own_model.measure(own.model, data, calibrated.probabilities)
    summary = report_of(own, key, row, calibrated)
    write(own.model, data, remembered(key, [row]), calibrated, summary)
    print(own.origin.sentence)
    print(f"validation {score(summary, data.unit)}; no temperature is fitted to it")
    runs.sync()


def report_of(own: TakenModel, key: str, row: Row, calibrated: Calibrated) -> TrainReport:
    """Of a model that was not trained here."""
    measures: dict[str, Any] = {name: row[name] for name in learning_curves.measured(row)}
    return TrainReport(
        architecture=own.origin.file,
        parameters=own.model.count_params(),
        epochs=0,
        kept_epoch=0,
        **measures,
        training_seconds=0.0,
        layers_at_start={},
        trained_before=True,
        backend=keras.backend.backend(),
        devices=keras.distribution.list_devices(),
        precision="float32",
        training_key=key,
        temperature=None,
        calibration_error_before=calibrated.error_before,
        calibration_error=calibrated.error,
        origin=own.origin,
    )


def train(settings: Params, data: Data, data_digests: list[str]) -> None:
    """Trains from scratch, or resumes an interrupted training."""
    check_processes(settings.train, data)
    key = fingerprint.of_training(settings.train, data_digests)
    folder = stage.home() / artifacts.STATE / "train" / key
    if ranks.joined():
        with ranks.ending_at_once():
            fit_and_log(settings, key, data, folder)
        return
    with atomic.alone(folder):
        # A damaged checkpoint is deleted here, before several processes read it
        epochs = len(checkpoint.read(folder).rows)
        if settings.train.processes > 1 and epochs < settings.train.epochs:
            ranks.run(settings.train.processes)  # then no epoch is left to train here
        save(settings.train, key, data, fit_and_log(settings, key, data, folder))
        runs.sync()
        shutil.rmtree(folder, ignore_errors=True)


def check_processes(settings: Train, data: Data) -> None:
    """Raises UserError if they cannot train together."""
    count, backend = settings.processes, keras.backend.backend()
    if count > 1 and backend != "jax":
        raise UserError(
            f"train.processes is {count}, and Keras trains in several processes on JAX only, not "
            f"on {backend}; run with KERAS_BACKEND=jax, or set train.processes to 1"
        )
    smallest = min(len(labels) for _, labels in (data.train, data.validation))
    if count > smallest:
        raise UserError(
            f"train.processes is {count}, and a split has only {counted(smallest, 'example')}; "
            "expected at most that many processes"
        )


def fit_and_log(settings: Params, key: str, data: Data, folder: Path) -> TrainedModel:
    """Prints and logs the epochs as they end; of several ranks only the first does."""
    if ranks.rank() > 0:
        return fit.fit(settings.train, data, folder, lambda row: None)
    with runs.live(key) as log:

        def on_row(row: Row) -> None:
            print_row(row, settings.train.epochs)
            log(row)

        callbacks = tensorboard(settings.watch, key)
        return fit.fit(settings.train, data, folder, on_row, callbacks)


def save(settings: Train, key: str, data: Data, trained: TrainedModel) -> None:
    """Calibrates the model, and writes it, its predictions, the curves and the report."""
    rows = remembered(key, trained.rows)
    with imports.quiet():
        calibrated = temperature.calibrate(trained.model, data.validation, data.target)
    summary = report(settings, key, trained, rows, calibrated)
    write(trained.model, data, rows, calibrated, summary)
    print(f"kept epoch {trained.best}: validation {score(summary, data.unit)}")
    print(calibration_sentence(calibrated))


def remembered(key: str, rows: list[Row]) -> list[Row]:
    """The rows with the times that were first measured for this key."""
    times = timing_cache.remember(
        f"train-{key}",
        [{name: row[name] for name in learning_curves.TIMES} for row in rows],
    )
    return [{**row, **epoch_times} for row, epoch_times in zip(rows, times, strict=True)]


def write(
    model: keras.Model, data: Data, rows: list[Row], calibrated: Calibrated, summary: TrainReport
) -> None:
    keras_files.save(artifacts.MODEL, model)
    images, labels = data.validation
    predictions.save(
        artifacts.VALIDATION,
        predictions.Predictions(
            calibrated.probabilities, np.asarray(labels), digests.of_examples(images)
        ),
    )
    learning_curves.save(artifacts.LEARNING_CURVES, rows)
    summary.save()
    summary.save_metrics()


def score(summary: TrainReport, unit: str | None) -> str:
    if summary.validation_error is not None:
        return f"mean absolute error {summary.validation_error:.4g} {unit}"
    return f"accuracy {summary.validation_accuracy:.4f}"


def calibration_sentence(calibrated: Calibrated) -> str:
    """For the terminal."""
    if calibrated.error is None:
        return "the mean and the standard deviation of the numbers are part of the last layer"
    if len(calibrated.probabilities) < temperature.FEWEST:
        return (
            f"no temperature is fitted: that takes at least {temperature.FEWEST} validation "
            f"examples, and there are {len(calibrated.probabilities):,}"
        )
    if calibrated.temperature is None:
        return (
            f"the calibration error on the validation set is {calibrated.error:.4f}; no "
            "temperature is fitted, because the model does not end in a dense layer with softmax "
            "or sigmoid"
        )
    assert calibrated.error_before is not None
    has_risen = calibrated.error > calibrated.error_before
    return (
        f"temperature {calibrated.temperature:.3f}, fitted to the validation set and folded into "
        f"the last layer: the calibration error there (0 is best) is {calibrated.error_before:.4f} "
        f"without it, and {calibrated.error:.4f} with it"
        + "; it minimizes the cross-entropy, not this error"
        * has_risen
    )


def report(
    settings: Train, key: str, trained: TrainedModel, rows: list[Row], calibrated: Calibrated
) -> TrainReport:
    kept_row = rows[trained.best - 1]
    measures: dict[str, Any] = {name: kept_row[name] for name in learning_curves.measured(kept_row)}
    return TrainReport(
        architecture=settings.architecture,
        parameters=trained.model.count_params(),
        epochs=len(rows),
        kept_epoch=trained.best,
        **measures,
        training_seconds=learning_curves.seconds(rows),
        layers_at_start=trained.layers,
        trained_before=settings.starts_from_a_file or settings.starts_from_a_backbone,
        backend=keras.backend.backend(),
        devices=keras.distribution.list_devices(),
        precision=settings.precision,
        training_key=key,
        temperature=calibrated.temperature,
        calibration_error_before=calibrated.error_before,
        calibration_error=calibrated.error,
    )


if __name__ == "__main__":
    stage.run(main)
