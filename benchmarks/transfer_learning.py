"""Compares frozen features with Keras's transfer-learning guide, on a folder of photos.

    python -m benchmarks.transfer_learning FOLDER [FOLDER ...]

Both use EfficientNet-Lite0 with weights of ImageNet, photos of 128 x 128 pixels and the same
split. Ours is RECIPE: the backbone stays frozen, so its features are computed once, and the output
layer trains on them. The guide (https://keras.io/guides/transfer_learning/) augments, trains the
output layer for two epochs, thaws the whole network and trains it for one. Times are seconds of
the processor, added over its cores, and do not depend on what else runs on the machine.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from sklearn.metrics import balanced_accuracy_score

from benchmarks import machine
from pipeline.config import params
from pipeline.config.params import Dataset, Preprocess, Train
from pipeline.datasets import image_folder
from pipeline.files import splits
from pipeline.files.artifacts import Array
from pipeline.process import imports
from pipeline.reporting import statistics
from pipeline.training.learning_curves import EPOCH, VALIDATION_ACCURACY

with imports.keras_import():
    import keras

    from pipeline.training import features, fit, keras_files, models
    from pipeline.training.batches import Data

PIXELS = 128
BATCH = 32
HEAD_EPOCHS, TUNING_EPOCHS, TUNING_RATE = 2, 1, 1e-5  # of the guide
RECIPE: dict[str, Any] = {
    "architecture": "efficientnet_lite0",
    "weights": "imagenet",
    "augmentation": [],
    "batch_size": BATCH,
    "epochs": 20,
    "learning_rate": 0.003,
    "optimizer": {"class_name": "AdamW", "config": {"weight_decay": 0.05}},
}


def photos(folder: Path) -> tuple[Data, Array, Array]:
    """Training set and validation set, and the test images and labels, as the pipeline splits."""
    size = {"height": PIXELS, "width": PIXELS, "channels": 3}
    dataset = Dataset.model_validate({"name": "image_folder", "path": str(folder), **size})
    raw = image_folder.load(dataset)
    settings = Preprocess(subset=None, validation=0.1, order="stratified", seed=42)
    rows = splits.splits(raw.train_labels, dataset.test, settings)
    parts = {name: (raw.train_images[part], raw.train_labels[part]) for name, part in rows.items()}
    data = Data(parts["train"], parts["validation"], len(raw.class_names))
    return data, *parts["test"]


def ours(data: Data) -> keras.Model:
    """The model of RECIPE, with no features computed beforehand."""
    shutil.rmtree(features.FOLDER, ignore_errors=True)
    recipe = params.load().train.model_dump() | RECIPE
    with tempfile.TemporaryDirectory() as folder:
        trained = fit.fit(Train.model_validate(recipe), data, Path(folder) / "train", print_row)
    return trained.model


def print_row(row: dict[str, float]) -> None:
    accuracy = row[VALIDATION_ACCURACY]
    print(f"epoch {row[EPOCH]:.0f}: validation accuracy {accuracy:.4f}", flush=True)


def guide(data: Data) -> keras.Model:
    """The model of the guide, with its augmentation, its optimizers and its epochs."""
    keras.utils.set_random_seed(0)
    recipe = Train.model_validate(params.load().train.model_dump() | RECIPE)
    base = models.start(recipe, data)
    assert base is not None
    inputs = keras.Input(data.inputs.shape)
    x = keras.layers.RandomFlip("horizontal", seed=0)(inputs)
    x = keras.layers.RandomRotation(0.1, seed=1)(x)
    x = keras.layers.Dropout(0.2)(base(x, training=False))
    model = keras.Model(inputs, keras.layers.Dense(data.num_classes, activation="softmax")(x))
    for epochs, rate in ((HEAD_EPOCHS, 1e-3), (TUNING_EPOCHS, TUNING_RATE)):
        # The guide keeps batch normalization as it is by training=False, which Keras 3.15 overrides
        # within a functional model, so that tuning destroys the statistics.
        for layer in base.layers:
            is_normalization = isinstance(layer, keras.layers.BatchNormalization)
            layer.trainable = rate == TUNING_RATE and not is_normalization
        optimizer = keras.optimizers.Adam(rate)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(
            *data.train,
            batch_size=BATCH,
            epochs=epochs,
            validation_data=data.validation,
            verbose=0,
            callbacks=[Rows()],
        )
    return model


class Rows(keras.callbacks.Callback):
    """Prints the validation accuracy after each epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        print_row({EPOCH: epoch + 1, VALIDATION_ACCURACY: (logs or {})["val_accuracy"]})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer_learning")
    parser.add_argument("folder", nargs="+", type=Path, help="photos, in a folder for each class")
    folders = parser.parse_args().folder
    print(machine.sentence())
    for name in folders:
        data, images, labels = photos(name)
        print(f"{name}: {len(data.train[1])} for training, {len(labels)} for testing")
        for train in (ours, guide):
            start, began = time.process_time(), time.perf_counter()
            model = train(data)
            seconds, wall = time.process_time() - start, time.perf_counter() - began
            predictions = keras_files.probabilities(model, images).argmax(1)
            accuracy, (low, high) = statistics.accuracy(predictions, labels)
            balanced = balanced_accuracy_score(labels, predictions)
            print(
                f"{train.__name__}: accuracy {accuracy:.4f} ({low:.4f} to {high:.4f}), balanced "
                f"{balanced:.4f}, {seconds:.0f} s of the processor, {wall:.0f} s on the clock",
                flush=True,
            )


if __name__ == "__main__":
    main()
