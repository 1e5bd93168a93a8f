"""A model that takes blue, green, red, trained on pictures here, gets red, green, blue."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pipeline.config.own_model import OwnModel, Scale
from pipeline.config.params import Dataset
from pipeline.datasets import cifar10
from pipeline.formats import tflite_int8
from pipeline.process.errors import UserError
from pipeline.proving import foreign_model
from pipeline.runtimes.foreign import reference_interpreter
from pipeline.training import input_scaling, keras_files, own_model
from pipeline.training.batches import Data

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
    pytest.mark.skipif(
        not Path(os.environ.get("DATA_MIRROR", "")).joinpath("cifar10_small.npz").is_file(),
        reason="needs the pictures of DATA_MIRROR",
    ),
]

NAMES = ["cool", "warm"]
CAFFE = np.array([103.939, 116.779, 123.68], np.float32)
IN_WORDS = "pixels less Caffe's mean of ImageNet, as blue, green, red"


@dataclass(frozen=True)
class Theirs:
    """The pictures, red, green, blue, and a model of them that takes blue, green, red."""

    data: Data
    network: keras.Model

    @property
    def accuracy(self) -> float:
        images, labels = self.data.validation
        answers = self.network.predict(images[..., ::-1] - CAFFE, verbose=0).argmax(1)
        return float((answers == labels).mean())


@pytest.fixture(scope="module")
def theirs() -> Theirs:
    """Trained for seconds to tell ships and airplanes from deer, frogs and horses."""
    raw = cifar10.load(Dataset(name="cifar10"))
    images, labels = np.asarray(raw.train_images), np.asarray(raw.train_labels)
    rows = np.flatnonzero(np.isin(labels, [0, 8, 4, 6, 7]))
    images, labels = images[rows], np.isin(labels[rows], [4, 6, 7]).astype(np.int64)
    data = Data((images[:1500], labels[:1500]), (images[1500:], labels[1500:]), 2)
    keras.utils.set_random_seed(1)  # one that depends on the mean: 16 points
    network = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(8, 3, 2, activation="relu"),
            layers.Conv2D(16, 3, 2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(images[:1500, ..., ::-1] - CAFFE, labels[:1500], 32, epochs=12, verbose=0)
    return Theirs(data, network)


def settings(path: Path, **values: Any) -> OwnModel:
    return OwnModel(**values).model_copy(update={"path": str(path)})


@pytest.mark.filterwarnings("ignore:[^a-z]*Warning. tf.lite.Interpreter is deprecated")
def test_the_order_of_channels_is_found_and_made_part_of_the_model(
    theirs: Theirs, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.keras"
    theirs.network.save(path)
    own = own_model.take(settings(path), theirs.data, NAMES)
    assert own.origin.scaling == IN_WORDS
    accuracies = own.origin.accuracies
    assert max(accuracies, key=accuracies.__getitem__) == "caffe"
    assert accuracies["caffe"] == theirs.accuracy > 0.8
    images = theirs.data.validation[0]
    answers = keras_files.probabilities(own.model, images)
    assert np.allclose(answers, theirs.network(images[..., ::-1] - CAFFE), atol=1e-5)
    run = reference_interpreter(tflite_int8.convert(own.model, theirs.data.train[0][:100]))
    in_int8 = np.concatenate([run(image[None]) for image in images[:200]])
    assert (in_int8.argmax(1) == answers[:200].argmax(1)).mean() > 0.97


def test_an_order_that_is_given_is_taken(theirs: Theirs, tmp_path: Path) -> None:
    path = tmp_path / "theirs.keras"
    theirs.network.save(path)
    same = Scale(mean=[float(mean) for mean in CAFFE], deviation=1, channels="bgr")
    for scaling in ("caffe", same):
        own = own_model.take(settings(path, scaling=scaling), theirs.data, NAMES)
        answers = keras_files.probabilities(own.model, theirs.data.validation[0])
        assert (answers.argmax(1) == theirs.data.validation[1]).mean() == theirs.accuracy
    assert own.origin.scaling.endswith("123.68, divided by 1, as blue, green, red")


def test_the_order_of_channels_of_a_file_is_found(theirs: Theirs, tmp_path: Path) -> None:
    path = tmp_path / "theirs.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(theirs.network).convert())
    model = foreign_model.take(settings(path), theirs.data, NAMES, tmp_path / "work")
    assert model.origin.scaling == IN_WORDS
    images, labels = theirs.data.validation
    answers = foreign_model.by_reference_kernels(model, images)
    assert (answers.argmax(1) == labels).mean() == pytest.approx(theirs.accuracy, abs=0.005)


def test_a_model_that_treats_red_and_blue_alike_gets_red_green_blue(
    theirs: Theirs, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.keras"
    same = keras.models.clone_model(theirs.network)
    kernel, *others = theirs.network.get_weights()
    same.set_weights([(kernel + kernel[:, :, ::-1]) / 2, *others])
    same.save(path)
    own = own_model.take(settings(path), theirs.data, NAMES)
    assert own.origin.scaling == "pixels less Caffe's mean of ImageNet"


def trial(wrong: range) -> input_scaling.ScalingResult:
    """Of 100 answers those in this range are wrong."""
    right = ~np.isin(np.arange(100), wrong)
    return input_scaling.ScalingResult(np.zeros((100, 2)), right, None, float(right.mean()))


@pytest.mark.parametrize(
    ("unit", "unit_bgr", "expected"),
    [
        (range(10), range(10), "unit"),
        (range(10), range(8), "unit"),
        (range(20), range(10), "unit_bgr"),
        (range(10), range(20), "unit"),
    ],
    ids=["equal", "hardly better", "clearly better", "worse"],
)
def test_red_green_blue_is_taken_unless_the_other_order_is_clearly_better(
    unit: range, unit_bgr: range, expected: str
) -> None:
    trials = {"unit": trial(unit), "signed": trial(range(50)), "unit_bgr": trial(unit_bgr)}
    labels = np.arange(100) % 2
    assert input_scaling.best(OwnModel(), trials, labels) == expected
    del trials["signed"]
    assert input_scaling.best(OwnModel(), trials, labels) == expected


def test_another_scaling_that_is_as_good_is_still_asked_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trials = {"unit": trial(range(10)), "unit_bgr": trial(range(10)), "signed": trial(range(11))}
    with pytest.raises(UserError, match=r"90.00 % are right with unit and 89.00 % with signed; "):
        input_scaling.best(OwnModel(), trials, np.arange(100) % 2)
    # The most accurate one is named, though it is not taken unless it is clearly better
    trials["standard"] = trial(range(6))
    with pytest.raises(
        UserError, match=r"with standard 94.00 % are right, which is not clearly more; set model"
    ):
        input_scaling.best(OwnModel(), trials, np.arange(100) % 2)
    assert "taken" not in capsys.readouterr().out
    input_scaling.best(OwnModel(scaling="signed"), trials, np.arange(100) % 2)
    assert "signed          89.00 %  <- taken" in capsys.readouterr().out
    del trials["standard"]
    # Significantly better than red, green, blue, but not than blue, green, red
    trials = {"unit": trial(range(10, 28)), "unit_bgr": trial(range(15, 30))}
    trials["signed"] = trial(range(12, 28))
    with pytest.raises(UserError, match="is not clear"):
        input_scaling.best(OwnModel(), trials, np.arange(100) % 2)


def test_one_value_is_for_all_channels() -> None:
    layer = own_model.rescaling(input_scaling.Scaling([1.0], [2.0], bgr=True))
    assert np.allclose(layer(np.array([[[[1.0, 3.0, 5.0]]]], np.float32)), [2, 1, 0])


def test_images_without_three_channels_have_no_order() -> None:
    grey = np.zeros((2, 3, 3, 1), np.uint8)
    assert set(input_scaling.candidates(OwnModel(), grey)) == {"raw", "unit", "signed", "standard"}
    with pytest.raises(UserError, match=r"model.scaling is caffe, which is for 3 channels"):
        input_scaling.candidates(OwnModel(scaling="caffe"), grey)
    bgr = Scale(mean=0, deviation=1, channels="bgr")
    with pytest.raises(UserError, match=r"channels is bgr, and the images have 1 channels"):
        input_scaling.candidates(OwnModel(scaling=bgr), grey)
