"""Stage 4: fit the chosen architecture, keep the best epoch, draw the learning curves.

    python -m pipeline.train            KERAS_BACKEND=jax trains on JAX, the same file

Reads: data/prepared/{train,validation}. Writes: model/model.keras, reports/learning_curves.{csv,png}, reports/train.json.
While it runs it keeps its state in .state/train/<key>; a killed training goes on from its last whole epoch.
"""

from __future__ import annotations

import importlib
import math
import os
import shutil
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from pipeline import artifacts, learning_curves, measurements, params, stage, tracking
from pipeline.artifacts import Array
from pipeline.learning_curves import Row, best_epoch
from pipeline.params import KerasObject, Train
from pipeline.stage import UserError

with stage.quiet():  # TensorFlow greets on stderr when it is first imported and used
    import keras

    from pipeline import keras_files
    from pipeline.training_state import State

    keras.ops.convert_to_tensor(0)

Split = tuple[Array, Array]  # images (N, H, W, C) uint8, labels (N,)

CODE = ("train.py", "training_state.py")  # what the weights follow from, beside the architecture


class Batches(keras.utils.PyDataset):
    """Shuffled batches read from memory-mapped arrays. The order of an epoch follows from the seed and its number alone."""

    def __init__(self, split: Split, batch_size: int, seed: int, epoch: int) -> None:
        super().__init__()
        self.images, self.labels = split
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch
        self.on_epoch_begin()

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[rows], self.labels[rows].astype("int32")

    def on_epoch_begin(self) -> None:
        self.order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.labels))

    def on_epoch_end(self) -> None:
        self.epoch += 1


@dataclass(frozen=True)
class Data:
    train: Split
    validation: Split
    num_classes: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.train[0].shape[1:]
        return height, width, channels


@dataclass(frozen=True)
class Trained:
    model: keras.Model
    rows: list[Row]
    best: int


def learning_rate(chosen: Train, steps_per_epoch: int) -> Any:
    """The rate or schedule over the whole training: warm-up from a tenth, then constant or a cosine down to zero."""
    steps = steps_per_epoch * chosen.epochs
    warmup = round(chosen.warmup * steps)
    if chosen.schedule == "constant" and not warmup:
        return chosen.learning_rate
    alpha = 1.0 if chosen.schedule == "constant" else 0.0
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(chosen.learning_rate, steps, alpha=alpha)
    return keras.optimizers.schedules.CosineDecay(
        chosen.learning_rate / 10,
        max(steps - warmup, 1),
        alpha=alpha,
        warmup_target=chosen.learning_rate,
        warmup_steps=warmup,
    )


def deserialize(key: str, value: KerasObject, module: Any, **more: Any) -> Any:
    """The Keras object that params.yaml names. Raises UserError with Keras's own reason."""
    found = getattr(module, value.class_name, None)
    if not isinstance(found, type):
        raise UserError(
            f"{key} is {value.class_name!r}; allowed are the class names in {module.__name__}, such as those of Keras's documentation"
        )
    try:
        return found(**value.config, **more)
    except (TypeError, ValueError) as error:
        raise UserError(f"{key}: {value.class_name} refuses its config: {' '.join(str(error).split())}") from None


def build(chosen: Train, data: Data) -> keras.Model:
    """The architecture with fresh weights, its layers named the same in every run."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(chosen.seed)
    module = importlib.import_module(f"pipeline.architectures.{chosen.architecture}")
    try:
        model: keras.Model = module.build(data.input_shape, data.num_classes)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"architecture {chosen.architecture} does not fit images of shape {data.input_shape}: {reason}") from None
    return model


def fit(chosen: Train, data: Data, folder: Path, on_row: Callable[[Row], None]) -> Trained:
    """Trains, going on from `folder` where that holds the state of an interrupted run."""
    keras_files.make_deterministic()
    keras.config.set_dtype_policy(chosen.precision)
    model = build(chosen, data)
    augmentation = [
        deserialize(f"train.augmentation[{index}]", layer, keras.layers, seed=chosen.seed + index)
        for index, layer in enumerate(chosen.augmentation)
    ]
    trained = keras.Sequential([keras.Input(data.input_shape), *augmentation, model], name="training")
    state = State(folder, chosen, len(data.train[1]), on_row)
    state.set_model(trained)
    steps_per_epoch = math.ceil(len(data.train[1]) / chosen.batch_size)
    trained.compile(
        optimizer=deserialize("train.optimizer", chosen.optimizer, keras.optimizers, learning_rate=learning_rate(chosen, steps_per_epoch)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=chosen.steps_per_execution,
    )
    trained.optimizer.build(trained.trainable_variables)
    epoch = state.resume()
    if epoch:
        print(f"going on after epoch {epoch}")
    if epoch < chosen.epochs and not state.should_stop():
        with stage.quiet():
            trained.fit(
                Batches(data.train, chosen.batch_size, chosen.seed, epoch),
                validation_data=(np.asarray(data.validation[0]), np.asarray(data.validation[1]).astype("int32")),
                validation_batch_size=1000,
                epochs=chosen.epochs,
                initial_epoch=epoch,
                shuffle=False,  # Batches shuffles, by seed and epoch
                callbacks=[state],
                verbose="auto" if os.isatty(1) else 0,
            )
    state.load_best()
    return Trained(plain(model, chosen, data), state.rows, best_epoch(state.rows, chosen.keep))


def plain(model: keras.Model, chosen: Train, data: Data) -> keras.Model:
    """The same model in float32, without anything that only training needs."""
    weights = model.get_weights()
    keras.config.set_dtype_policy("float32")
    result = build(chosen, data)
    result.set_weights(weights)
    return result


def state_key(chosen: Train) -> str:
    """What the trained weights follow from: params, data and code. Another of these is another training."""
    code = [*(params.PACKAGE / name for name in CODE), params.PACKAGE / "architectures" / f"{chosen.architecture}.py"]
    data = sorted(path for split in ("train", "validation") for path in (artifacts.PREPARED / split).glob("*.npy"))
    facts = [chosen.model_dump_json(), keras.__version__, keras.backend.backend(), *map(artifacts.sha256, [*data, *code])]
    return measurements.digest(facts)


def print_row(row: Row) -> None:
    print(
        f"epoch {row['epoch']:3.0f}: loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.4f}; "
        f"validation loss {row['validation_loss']:.4f}, accuracy {row['validation_accuracy']:.4f}; "
        f"rate {row['learning_rate']:.2g}; {row['seconds']:.1f} s, {row['images_per_second']:.0f} images/s",
        flush=True,
    )


def main() -> None:
    chosen = params.load()
    description = artifacts.load_description()
    data = Data(artifacts.load_split("train"), artifacts.load_split("validation"), len(description.class_names))
    key = state_key(chosen.train)
    folder = artifacts.STATE / "train" / key
    with tracking.live(key) as log:

        def on_row(row: Row) -> None:
            print_row(row)
            log(row)

        trained = fit(chosen.train, data, folder, on_row)
    measured = measurements.remember(f"train-{key}", [{name: row[name] for name in learning_curves.TIMES} for row in trained.rows])
    rows = [{**row, **times} for row, times in zip(trained.rows, measured, strict=True)]
    kept = rows[trained.best - 1]
    summary = {
        "architecture": chosen.train.architecture,
        "parameters": trained.model.count_params(),
        "epochs": len(rows),
        "kept_epoch": trained.best,
        **{name: kept[name] for name in learning_curves.MEASURES},
        "training_seconds": sum(row["seconds"] for row in rows),
        "images_per_second": statistics.median(row["images_per_second"] for row in rows),
        "backend": keras.backend.backend(),
        "devices": keras.distribution.list_devices(),
        "precision": chosen.train.precision,
        "training_key": key,
    }
    keras_files.save(artifacts.MODEL, trained.model)
    learning_curves.save(artifacts.LEARNING_CURVES, rows)
    learning_curves.draw(artifacts.LEARNING_CURVES.with_suffix(".png"), rows, trained.best)
    artifacts.save_json(artifacts.report("train"), summary)
    tracking.sync()
    shutil.rmtree(folder, ignore_errors=True)
    print(f"kept epoch {trained.best}: validation accuracy {kept['validation_accuracy']:.4f}")


if __name__ == "__main__":
    stage.run(main)
