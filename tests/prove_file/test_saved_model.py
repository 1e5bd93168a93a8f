"""A SavedModel is proven, and whatever it holds besides its network never runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.trackable.resource import CapturableResource

from pipeline.files import split_files
from pipeline.files.reports.verify import ComparedPair
from pipeline.formats import _saved_model_process
from pipeline.planning import prove as planning
from pipeline.process.errors import UserError
from pipeline.proving import prove_file, saved_model
from pipeline.proving.prove_file import ProveOptions
from pipeline.runtimes.foreign import NHWC, Adapter
from tests.conftest import emulated
from tests.foreign_files import Linear, tflite_int8
from tests.prove_file.conftest import compared, configure, report

pytestmark = [
    pytest.mark.slow,  # TensorFlow writes each of the models
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]

ADAPTER = Adapter(NHWC, (1, 28, 28, 1), "float32", (0.0,), (255.0,))
Write = Callable[[keras.Model, str], None]
WAYS: dict[str, Write] = {
    "saved": tf.saved_model.save,
    "exported": lambda model, path: model.export(path, verbose=False),
}


def network(linear: Linear) -> keras.Model:
    """The linear model, with an optimizer that has made a step, so that it has slots."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(1, 1, kernel_initializer="ones", trainable=False),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((2, 28, 28, 1)), np.zeros(2), verbose=0)
    model.layers[-1].set_weights([linear.kernel.reshape(10, -1).T, linear.bias])
    return model


@pytest.mark.parametrize("way", WAYS)
def test_its_network_computes_what_the_model_does(way: str, linear: Linear, tmp_path: Path) -> None:
    model = network(linear)
    WAYS[way](model, str(tmp_path / "theirs"))
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
    probabilities = _saved_model_process.probabilities(tmp_path / "theirs", ADAPTER, images)
    assert np.allclose(probabilities, model(images / np.float32(255)), atol=1e-6)


def test_one_of_a_single_image_is_run_image_by_image(tmp_path: Path) -> None:
    """Its reshaping takes one image only. A pattern in the name of its folder is no pattern."""
    keras.utils.set_random_seed(0)
    image = keras.Input(batch_shape=(1, 28, 28, 1))
    row = keras.layers.Flatten()(image)
    keras.Model(image, keras.layers.Dense(10)(row)).export(tmp_path / "a[1]*", verbose=False)
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
    probabilities = _saved_model_process.probabilities(tmp_path / "a[1]*", ADAPTER, images)
    of_one_image = _saved_model_process.probabilities(tmp_path / "a[1]*", ADAPTER, images[1:2])
    assert probabilities.shape == (3, 10)
    assert np.allclose(probabilities[1:2], of_one_image, atol=1e-5)
    assert np.ptp(probabilities, axis=0).min() > 0


def test_files_in_float32_and_int8_are_made_and_compared_with_tensorflow(
    linear: Linear, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emulated("nehalem", "litert")
    configure({"verify.runtimes": ["litert"], "verify.processors": ["native", "nehalem"]})
    tf.saved_model.save(network(linear), "theirs")
    prove_file.prove(ProveOptions(Path("theirs"), source="a friend"))
    file_report, shown = report(), capsys.readouterr().out
    origin = file_report.compared_with.origin
    assert origin is not None
    assert (origin.file, origin.source) == ("theirs", "a friend")
    assert origin.scaling == "pixels divided by 255"
    images, labels = split_files.load_split("test")
    scores = (images / 255).reshape(-1, 784) @ linear.kernel.reshape(10, -1).T + linear.bias
    assert file_report.compared_with.accuracy == (scores.argmax(1) == labels).mean() > 0.7
    in_float, in_int8 = (pair for pair in file_report.here if isinstance(pair, ComparedPair))
    assert (in_float.format, in_int8.format) == ("theirs_float32.tflite", "theirs_int8.tflite")
    assert in_float.state == "proven"
    assert not in_float.computes_in_integers
    assert in_int8.computes_in_integers
    assert abs(in_int8.accuracy - in_float.accuracy) < 0.02
    elsewhere = [pair.format for pair in file_report.pairs if pair.processor == "nehalem"]
    assert elsewhere == [in_float.format, in_int8.format]
    table = shown.partition("\n+")[2]
    assert all(len(line) <= 80 for line in table.splitlines())
    assert table.count("| verdict |") == 2
    assert "theirs_int8.tflite" in table.splitlines()
    for pair in file_report.here:
        assert Path("reports/proven", pair.format).stat().st_size == pair.bytes
    worse = file_report.model_copy(update={"pairs": [in_float, in_int8.changed(state="worse")]})
    saved_model.keep([Path("reports/proven", pair.format) for pair in file_report.here], worse)
    assert [file.name for file in Path("reports/proven").iterdir()] == [in_float.format]


def test_it_is_the_reference_of_a_file(linear: Linear, prepared: Path) -> None:
    configure({"verify.runtimes": ["litert"]})
    network(linear).export("float", verbose=False)
    Path("theirs.tflite").write_bytes(tflite_int8(linear))
    prove_file.prove(ProveOptions(Path("theirs.tflite"), Path("float")))
    origin = report().compared_with.origin
    assert origin is not None
    assert origin.file == "float"
    assert compared(report(), "litert").agreement > 0.95


class Start(CapturableResource):  # type: ignore[misc]  # TensorFlow has no types
    """What TensorFlow initializes when it loads a SavedModel."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark

    def _create_resource(self) -> Any:
        return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="a")

    def _initialize(self) -> None:
        tf.io.write_file(self.mark, "it ran")


class Hostile(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Writes a file: when it answers, in a function that answering calls, or when it is loaded."""

    def __init__(self, mark: str, where: str) -> None:
        super().__init__()
        self.mark, self.where = mark, where
        self.weight = tf.Variable(2.0)
        self.start = Start(mark) if where == "load" else None

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((None, 28, 28, 1), tf.float32, name="image")]
    )
    def answer(self, image: Any) -> Any:
        inner = tf.function(self.write)
        if self.where == "call":
            inner()
        if self.where == "python":
            tf.py_function(self.write, [], [])
        if self.where == "read":
            image += tf.cast(tf.strings.length(tf.io.read_file(self.mark)), tf.float32)
        if self.where == "direct":
            self.write()
        return self.weight * tf.reduce_sum(image, [1, 2])

    @tf.function(input_signature=[])  # type: ignore[untyped-decorator]
    def write(self) -> None:
        tf.io.write_file(self.mark, "it ran")


@pytest.mark.parametrize(
    ("where", "operator"),
    [
        ("direct", "WriteFile"),
        ("call", "WriteFile"),
        ("python", "EagerPyFunc"),
        ("read", "ReadFile"),
    ],
)
def test_an_operator_that_does_more_than_compute_is_refused(
    where: str, operator: str, tmp_path: Path
) -> None:
    mark, path = tmp_path / "it-ran", tmp_path / "theirs"
    hostile = Hostile(str(mark), where)
    tf.saved_model.save(hostile, str(path), signatures=hostile.answer)
    assert not mark.exists()
    with pytest.raises(UserError, match=f"has the operator .*{operator}.* could read or write"):
        planning.check_folder(path, {})
    with pytest.raises(UserError, match=operator):  # also if nobody has checked before
        _saved_model_process.convert(path, tmp_path / "theirs.tflite")
    assert not mark.exists()


def test_what_is_not_part_of_the_network_never_runs(tmp_path: Path) -> None:
    """The same folder writes a file when TensorFlow loads it."""
    mark, path = tmp_path / "it-ran", tmp_path / "theirs"
    hostile = Hostile(str(mark), "load")
    tf.saved_model.save(hostile, str(path), signatures=hostile.answer)
    mark.unlink(missing_ok=True)
    planning.check_folder(path, {})
    probabilities = _saved_model_process.probabilities(
        path, ADAPTER, np.full((2, 28, 28, 1), 255, np.uint8)
    )
    assert np.allclose(probabilities, 2 * 784)
    _saved_model_process.convert(path, tmp_path / "theirs.tflite")
    assert not mark.exists()
    tf.saved_model.load(str(path))
    assert mark.exists()


def test_what_is_no_whole_saved_model_is_refused_in_a_sentence(
    linear: Linear, tmp_path: Path
) -> None:
    path = tmp_path / "theirs"
    network(linear).export(str(path), verbose=False)
    with pytest.raises(UserError, match=r"--c is for a .tflite .* in reports/proven"):
        planning.check_folder(path, {"--reference": None, "--c": Path("code")})
    with pytest.raises(UserError, match=r"is a folder without the file saved_model.pb"):
        planning.check_folder(path / "variables", {})
    strange = path.rename(tmp_path / "a\n\x1bb")
    (strange / "variables" / "variables.index").unlink()
    missing = {strange: "weights in .* cannot be read", strange / "variables": "saved_model.pb"}
    for folder, text in missing.items():
        with pytest.raises(UserError, match=text) as refused:
            planning.check_folder(folder, {})
        assert str(refused.value).isprintable()
    path = strange
    with pytest.raises(UserError, match=r"the weights in .* cannot be read"):
        _saved_model_process.convert(path, tmp_path / "theirs.tflite")
    whole = (path / "saved_model.pb").read_bytes()
    for content in (b"", b"a text\n", whole[: len(whole) // 2]):
        (path / "saved_model.pb").write_bytes(content)
        with pytest.raises(UserError, match=r"expected the whole folder|no graph with the tag"):
            planning.check_folder(path, {})
