"""A model that somebody else trained: what it expects is found out, and nothing in it is run.

The models are not trained: each names the nearest class mean of MNIST, which is right four times in
five.
"""

from __future__ import annotations

import json
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from pipeline.config import params
from pipeline.config.own_model import OwnModel, Scale
from pipeline.datasets import Raw
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.planning import prove
from pipeline.process.errors import UserError
from pipeline.search import analysis
from pipeline.training import foreign_file, input_scaling, keras_files, own_model
from pipeline.training.batches import Data
from tests.conftest import ROOT, Project

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")
DIGITS = [str(digit) for digit in range(10)]
IMAGENET_OF_GREY = Scale(mean=33.3, deviation=78.6)


@pytest.fixture(scope="module")
def data(raw_mnist: Raw) -> Data:
    def part(start: int, stop: int) -> tuple[Array, Array]:
        return raw_mnist.train_images[start:stop], raw_mnist.train_labels[start:stop]

    return Data(part(0, 2000), part(2000, 4000), 10)


def nearest_mean(
    data: Data, scaling: input_scaling.Scaling, order: list[int] | None = None, **end: Any
) -> keras.Model:
    """A model that names the nearest class mean of pixels that are scaled in this way."""
    mean, deviation = (np.asarray(value) for value in scaling)
    images = (data.train[0] - mean) / deviation
    means = np.stack([images[data.train[1] == label].mean(0).ravel() for label in range(10)])
    means = means[order or range(10)] / images.std() / 30
    bias = -(means**2).sum(1) / 2 * images.std() * 30
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, **end)], name="theirs"
    )
    model.layers[-1].set_weights([means.T, bias])
    return model


def taken(path: Path, data: Data, model: keras.Model, **settings: Any) -> own_model.TakenModel:
    """The model, saved and taken by params of these values."""
    model.save(path)
    return own_model.take(OwnModel(path=str(path), **settings), data, DIGITS)


def answers(result: own_model.TakenModel, data: Data) -> Array:
    outputs = keras_files.probabilities(result.model, data.validation[0])
    assert np.allclose(outputs.sum(1), 1, atol=1e-5)
    classes: Array = outputs.argmax(1)
    return classes


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", ["raw", "unit", "signed"])
def test_the_scaling_is_found_and_made_part_of_the_model(
    name: str, suffix: str, data: Data, tmp_path: Path
) -> None:
    scaling = input_scaling.SCALINGS[name]
    model = nearest_mean(data, scaling)
    result = taken(tmp_path / f"model.{suffix}", data, model)
    assert result.origin.scaling == input_scaling.IN_WORDS[name]
    assert result.origin.accuracies[name] == max(result.origin.accuracies.values()) > 0.7
    expected = input_scaling.outputs(model, data.validation[0], scaling).argmax(1)
    assert np.array_equal(answers(result, data), expected)
    assert result.model.inputs[0].name == "image"


def test_a_scaling_of_ones_own_is_taken_by_mean_and_deviation(data: Data, tmp_path: Path) -> None:
    model = nearest_mean(data, ([33.3], [78.6]))
    result = taken(tmp_path / "model.keras", data, model, scaling=IMAGENET_OF_GREY)
    assert result.origin.scaling == "pixels less 33.3, divided by 78.6"
    assert (answers(result, data) == data.validation[1]).mean() > 0.7


def test_imagenets_scaling_of_colours_is_what_torchvision_computes(data: Data) -> None:
    layer = own_model.rescaling(input_scaling.SCALINGS["imagenet"])
    pixels = np.array([[[[0, 128, 255]]]], np.float32)
    expected = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.allclose(layer(pixels), expected, atol=1e-5)


def test_an_ambiguous_scaling_is_asked_about(data: Data, tmp_path: Path) -> None:
    model = nearest_mean(data, ([0.0], [255.0]))
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, 0 * bias])  # without it, only ratios of pixels count
    with pytest.raises(UserError, match=r"not clear: .* set model.scaling to raw, unit, signed"):
        taken(tmp_path / "model.keras", data, model)
    chosen = taken(tmp_path / "model.keras", data, model, scaling="unit")
    assert chosen.origin.scaling == "pixels divided by 255"


def test_a_model_of_other_classes_is_told_from_one_of_another_scaling(
    data: Data, tmp_path: Path
) -> None:
    model = nearest_mean(data, ([0.0], [1.0]))
    model.layers[-1].set_weights([np.zeros((784, 10)), np.arange(10)])
    with pytest.raises(UserError, match="hardly better than always naming the most frequent class"):
        taken(tmp_path / "model.keras", data, model)


@pytest.mark.parametrize("end", ["logits", "softmax", "activation"])
def test_classes_in_another_order_are_refused_until_the_labels_say_which(
    end: str, data: Data, tmp_path: Path
) -> None:
    order = [3, 1, 2, 0, 4, 5, 6, 9, 8, 7]
    activation = {"activation": "softmax"} if end == "softmax" else {}
    model = nearest_mean(data, ([0.0], [255.0]), order, **activation)
    if end == "activation":
        model.add(layers.Activation("softmax"))
    names = [DIGITS[label] for label in order]
    with pytest.raises(UserError) as refusal:
        taken(tmp_path / "model.keras", data, model)
    assert f"set model.labels to {json.dumps(names)}" in str(refusal.value)
    assert "0 seems to be 3" in str(refusal.value)
    straight = taken(tmp_path / "other.keras", data, nearest_mean(data, ([0.0], [255.0])))
    result = taken(tmp_path / "model.keras", data, model, labels=names)
    assert np.array_equal(answers(result, data), answers(straight, data))


def test_labels_must_be_the_classes_of_the_dataset(data: Data, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the same names, in the order of the model"):
        taken(tmp_path / "a.keras", data, nearest_mean(data, ([0.0], [1.0])), labels=["a", "b"])


def test_logits_get_a_softmax_and_probabilities_stay(data: Data, tmp_path: Path) -> None:
    path, scaling = tmp_path / "model.keras", ([0.0], [255.0])
    logits = taken(path, data, nearest_mean(data, scaling))
    already = taken(path, data, nearest_mean(data, scaling, activation="softmax"))
    assert logits.origin.softmax_added
    assert not already.origin.softmax_added
    first, second = (
        keras_files.probabilities(each.model, data.validation[0]) for each in (logits, already)
    )
    assert np.allclose(first, second, atol=1e-6)
    with pytest.raises(UserError, match="do not add up to 1"):
        taken(path, data, nearest_mean(data, scaling, activation="sigmoid"))


def test_one_sigmoid_answers_for_two_classes(data: Data, tmp_path: Path) -> None:
    def zeros_and_ones(split: tuple[Array, Array]) -> tuple[Array, Array]:
        return tuple(part[split[1] < 2] for part in split)  # type: ignore[return-value]

    two = Data(zeros_and_ones(data.train), zeros_and_ones(data.validation), 2)
    kernel, bias = nearest_mean(data, ([0.0], [255.0])).layers[-1].get_weights()
    model = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(1)])
    model.layers[-1].set_weights([kernel[:, 1:2] - kernel[:, :1], bias[1:2] - bias[:1]])
    path = tmp_path / "model.h5"
    model.save(path)
    result = own_model.take(OwnModel(path=str(path), scaling="unit"), two, ["0", "1"])
    assert (answers(result, two) == two.validation[1]).mean() > 0.95


@pytest.mark.parametrize("shape", [(784,), (28, 28), (None, None, 1)])
def test_grey_images_without_channel_and_rows_of_pixels_fit(
    shape: tuple[int, ...], data: Data
) -> None:
    dense = layers.Dense(10)
    pooling = layers.GlobalAveragePooling2D() if len(shape) == 3 else layers.Flatten()
    model = keras.Sequential([keras.Input(shape), pooling, dense])
    own_model.check_shapes("a.keras", model, data)
    scaling = input_scaling.SCALINGS["unit"]
    assembled = own_model.assembled(model, data, scaling, False, list(range(10)))
    assert keras_files.probabilities(assembled, data.validation[0][:3]).shape == (3, 10)


@pytest.mark.parametrize(
    ("shape", "outputs", "message"),
    [
        ((32, 32, 3), 10, r"takes inputs of shape \(32, 32, 3\), and .* are \(28, 28, 1\)"),
        ((28, 28, 1), 12, r"gives outputs of shape \(12,\), and the dataset has 10 classes"),
        ((28, 28, 1), 1, r"gives outputs of shape \(1,\), and the dataset has 10 classes"),
    ],
)
def test_a_model_that_does_not_fit_the_dataset_is_refused(
    shape: tuple[int, ...], outputs: int, message: str, data: Data, tmp_path: Path
) -> None:
    model = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(outputs)])
    with pytest.raises(UserError, match=message):
        taken(tmp_path / "model.keras", data, model)


def test_a_model_of_two_outputs_and_other_data_are_refused(data: Data, tmp_path: Path) -> None:
    image = keras.Input((28, 28, 1))
    row = layers.Flatten()(image)
    with pytest.raises(UserError, match="several inputs or outputs"):
        taken(tmp_path / "a.keras", data, keras.Model(image, [row, layers.Dense(10)(row)]))
    with pytest.raises(UserError, match="takes a classifier of images"):
        own_model.check_data(Data(data.train, data.validation, 10, target="labels"))


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


def hostile_lambda(path: Path, mark: Path) -> None:
    """A model whose Lambda layer writes a file when it is built or called."""
    target = str(mark)

    def run(value: Any) -> Any:
        Path(target).touch()
        return value

    image = keras.Input((28, 28, 1))
    keras.Model(image, layers.Lambda(run)(image)).save(path)
    mark.unlink(missing_ok=True)


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


def test_params_refuse_files_that_cannot_be_taken_and_folds_of_another_recipe() -> None:
    settings = params.load(ROOT / "params.yaml")
    for values, message in (
        ({"model.path": "model.tflite"}, "expected a .keras or .h5 file"),
        ({"model.path": "a|b.h5"}, "breaks tables"),
        ({"model.path": str(artifacts.MODEL)}, "name a copy of it in another place"),
        ({"model.scaling": "0..1"}, "model.scaling"),
        ({"model.scaling": {"mean": 0.0, "deviation": 0.0}}, "expected numbers above 0"),
        ({"model.source": "two\nlines"}, "model.source"),
        ({"model.path": "a.h5", "evaluate.folds": "reports/folds.json"}, "judges a recipe"),
    ):
        with pytest.raises(UserError, match=message):
            params.override(settings, values)


def test_commands_that_train_refuse_while_a_model_is_named() -> None:
    settings = params.override(params.load(ROOT / "params.yaml"), {"model.path": "theirs.h5"})
    with pytest.raises(UserError, match=r"model.path is theirs.h5, and this trains models"):
        analysis.check_answers(settings)


def test_spread_refuses_while_a_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.diagnosis import spread

    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(
        re.sub("path: .*  # pipeline/none: none; or a .keras", "path: theirs.h5  #", text)
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"model.path is theirs.h5, and this looks at a network b"):
        spread.report()


def test_prove_sets_the_model_and_keeps_params_of_a_file_that_it_refuses(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, message in (
        ("missing.h5", "does not exist"),
        ("model.tflite", "is not a Keras model"),
        ("folder", "is a folder"),
        ("lambda.keras", "has a Lambda layer"),
    ):
        if name == "folder":
            Path(name).mkdir()
        elif name == "lambda.keras":
            hostile_lambda(Path(name), tmp_path / "mark")
        elif name != "missing.h5":
            Path(name).touch()
        with pytest.raises(UserError, match=message):
            prove.choose(Path(name), None)
    assert Path("params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()
    nearest_mean(data, ([0.0], [255.0])).save("good.keras")
    judged = Path("params.yaml").read_text().replace("folds: pipeline/none ", "folds: a.json")
    Path("params.yaml").write_text(judged)
    prove.choose(Path("good.keras"), "a friend")
    expected = {"model.path": "good.keras", "model.source": "a friend"}
    assert params.load() == params.override(params.load(ROOT / "params.yaml"), expected)
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert "# pipeline/none: none; or a .keras" in text


@pytest.mark.slow
@pytest.mark.long
def test_a_model_of_somebody_else_goes_the_whole_way_and_its_card_says_so(
    finished: Project, run_stages: Callable[..., None], tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    ours = keras_files.load(finished.folder / artifacts.MODEL)
    inner = keras.Sequential([keras.Input((28, 28, 1)), *ours.layers[1:]])  # without its scaling
    inner.save(project.folder / "theirs.h5")
    project.change(
        {
            "model.path": "theirs.h5",
            "model.source": "somebody else",
            "export.formats": ["tflite_float32"],
            "verify.runtimes": ["litert"],
            "verify.processors": ["native"],
            "embed.targets": [],
        }
    )
    run_stages(project, "check", "train", "diagnose", "evaluate", "export", "verify", "embed")
    run_stages(project, "package")
    before = artifacts.load_json(finished.folder / "reports/evaluate.json")
    after = artifacts.load_json(project.folder / "reports/evaluate.json")
    assert after["test_accuracy"] == before["test_accuracy"]
    sentence = "the model was not trained here: it is theirs.h5 from somebody else"
    assert artifacts.load_json(project.folder / "reports/diagnose.json")["sentence"].startswith(
        sentence
    )
    assert sentence[1:] in (project.folder / "reports/index.html").read_text(encoding="utf-8")
    archive = next((project.folder / "dist").glob("*.tar.gz"))
    shutil.unpack_archive(archive, tmp_path / "bundle")
    card = next((tmp_path / "bundle").rglob("MODEL_CARD.md")).read_text(encoding="utf-8")
    assert sentence in card
    assert "never used for training" not in card
    rows = (project.folder / artifacts.LEARNING_CURVES).read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0"]


def test_without_a_model_nothing_changes() -> None:
    settings = params.load(ROOT / "params.yaml")
    assert settings.model.path == params.NONE
    assert not settings.model.is_given
