"""Model files that run code, are damaged or are something else."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from pipeline.process.errors import UserError
from pipeline.training import foreign_file, keras_files
from pipeline.training.batches import Data
from tests.own_model.conftest import hostile_lambda

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


def test_groups_of_keras_2_are_dropped_and_the_result_needs_no_custom_object(
    data: Data, tmp_path: Path
) -> None:
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.DepthwiseConv2D(3), layers.Flatten(), layers.Dense(10)]
    )
    path = tmp_path / "keras2.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = file.attrs["model_config"]
        old = config.replace('"depth_multiplier"', '"groups": 1, "depth_multiplier"')
        assert old != config
        file.attrs["model_config"] = old
    loaded = foreign_file.load(path)
    image = data.validation[0][:2].astype("float32")
    assert np.array_equal(loaded(image), model(image))
    keras_files.save(tmp_path / "ours.keras", loaded)
    assert np.array_equal(keras_files.load(tmp_path / "ours.keras")(image), model(image))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_lambda_is_refused_before_keras_sees_it(suffix: str, tmp_path: Path) -> None:
    path, mark = tmp_path / f"model.{suffix}", tmp_path / "it-ran"
    hostile_lambda(path, mark)
    with pytest.raises(UserError, match="has a Lambda layer, which runs code"):
        foreign_file.load(path)
    assert not mark.exists()


@keras.saving.register_keras_serializable("theirs")
class Registered(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A class that code has registered, as this process has some too."""

    def call(self, value: Any) -> Any:
        return value


def with_config(path: Path, change: Callable[[str], str]) -> Path:
    """A .keras file with another config."""
    good = path.with_name("good.keras")
    keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10)]).save(good)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, change(text.decode()) if name == "config.json" else text)
    return path


def test_classes_that_are_not_keras_own_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "registered.keras"
    keras.Sequential([keras.Input((28, 28, 1)), Registered()]).save(path)
    with pytest.raises(UserError, match="class Registered, which is not one of Keras's own"):
        foreign_file.load(path)
    image = keras.Input((28, 28, 1))
    keras.Model(image, image + image).save(path)  # an operation, and not a layer
    with pytest.raises(UserError, match="class Add, which is not one of Keras's own layers"):
        foreign_file.load(path)
    for old, new in (
        (
            '"module": "keras.layers", "class_name": "Dense"',
            '"module": "os", "class_name": "Dense"',
        ),
        ('"class_name": "Dense"', '"class_name": "get_file"'),
        ('"activation": "linear"', '"activation": {"class_name": "__lambda__", "config": {}}'),
    ):
        with pytest.raises(UserError, match="Keras's"):
            foreign_file.load(with_config(tmp_path / "a.keras", lambda t: t.replace(old, new)))  # noqa: B023


class Pickled:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_pickles_texts_and_damaged_files_are_refused_in_a_sentence(
    name: str, data: Data, tmp_path: Path
) -> None:
    path, mark = tmp_path / name, tmp_path / "it-ran"
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10)])
    model.save(path)
    whole = path.read_bytes()
    for content in (
        pickle.dumps(Pickled(mark)),
        b"this is a text\n",
        b"",
        whole[: len(whole) // 2],
        whole[:-100],
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"is not a (whole|model that Keras can read)"):
            foreign_file.load(path)
    assert not mark.exists()


def test_weights_alone_and_strange_entries_are_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10)])
    weights = tmp_path / "model.weights.h5"
    model.save_weights(weights)
    with pytest.raises(UserError, match="holds weights without their layers"):
        foreign_file.load(weights)
    path = with_config(tmp_path / "model.keras", str)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("../escaped", "x")
    with pytest.raises(UserError, match=r"holds '\.\./escaped'; expected exactly config.json"):
        foreign_file.load(path)
