"""Published weights: where they come from, what is refused, and how a backbone takes them."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
import sys
import threading
import types
from collections import OrderedDict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import params
from pipeline.config.params import Network, Train
from pipeline.files.artifacts import Array, Inputs
from pipeline.process.errors import UserError
from pipeline.training import pretrained_files, torch_weights
from pipeline.training.pretrained_files import Published, fetch
from tests.conftest import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DATA = np.random.default_rng(0).bytes(100_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


class Publisher(BaseHTTPRequestHandler):
    """Has the file as it was published, damaged, and cut in the middle."""

    def do_GET(self) -> None:
        folder = self.path.split("/")[1]
        data = {"good": DATA, "damaged": b"x" + DATA[1:], "cut": DATA}.get(folder)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:1000] if folder == "cut" else data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Publisher) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout, without a mirror."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    return tmp_path


@pytest.mark.parametrize(("algorithm", "checksum"), [("sha256", SHA256), ("md5", MD5)])
def test_weights_come_from_the_publisher_and_are_kept(
    server: str, alone: Path, algorithm: str, checksum: str
) -> None:
    path = fetch(Published("a.h5", f"{server}/good/a.h5", algorithm, checksum))
    assert path == alone / ".state/weights/a.h5"
    assert path.read_bytes() == DATA
    assert fetch(Published("a.h5", "", algorithm, checksum)) == path  # no source is needed now


def test_a_mirror_is_asked_first_be_it_a_folder_or_an_address(
    server: str, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alone / "mirror").mkdir()
    (alone / "mirror/a.h5").write_bytes(DATA)
    for mirror in (str(alone / "mirror"), f"{server}/good"):
        monkeypatch.setenv("DATA_MIRROR", mirror)
        path = fetch(Published("a.h5", f"{server}/damaged/a.h5", "sha256", SHA256))
        assert path.read_bytes() == DATA
        path.unlink()


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("damaged", r"its SHA256 differs"), ("cut", "download failed"), ("none", "download failed")],
)
def test_bad_weights_are_refused_and_nothing_is_kept(
    server: str, alone: Path, folder: str, reason: str
) -> None:
    with pytest.raises(UserError, match=rf"{reason}.*put a.h5 into a folder.*DATA_MIRROR"):
        fetch(Published("a.h5", f"{server}/{folder}/a.h5", "sha256", SHA256))
    assert not list(alone.rglob("*.h5"))


def test_a_kept_file_that_was_damaged_is_fetched_again(server: str, alone: Path) -> None:
    published = Published("a.h5", f"{server}/good/a.h5", "sha256", SHA256)
    path = fetch(published)
    path.write_bytes(DATA[:500])
    assert fetch(published).read_bytes() == DATA


def test_without_a_published_checksum_the_user_is_told_what_to_do(alone: Path) -> None:
    from pipeline.architectures import mobilenet_v2

    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"
    with pytest.raises(UserError, match=rf"download https.*{name} .*train.start_from"):
        mobilenet_v2.pretrained(Inputs((96, 96, 3)), Network(), None)


def test_every_file_of_mobilenet_has_a_checksum(alone: Path) -> None:
    from pipeline.architectures import mobilenet_v1

    checksums = set()
    for width in mobilenet_v1.WIDTHS:
        for side in (96, *mobilenet_v1.SIZES):
            file = mobilenet_v1.published((side, side, 3), width)
            assert len(bytes.fromhex(file.checksum or "")) == 32
            checksums.add(file.checksum)
    assert len(checksums) == 16
    small = mobilenet_v1.published((96, 96, 3), 0.25)
    assert small.address.endswith("mobilenet/mobilenet_2_5_224_tf_no_top.h5")


def test_a_width_without_published_weights_is_refused(alone: Path) -> None:
    from pipeline.architectures import efficientnet_lite0, mobilenet_v2, mobilenet_v3_small

    for module, sentence in (
        (mobilenet_v2, "width is 0.3, and .* published for 0.35, 0.5, 0.75, 1, 1.3, 1.4"),
        (mobilenet_v3_small, "width is 0.3, and .* published for 0.75, 1"),
        (efficientnet_lite0, "width is 0.3, and efficientnet_lite0 has one width"),
    ):
        with pytest.raises(UserError, match=sentence):
            module.pretrained(Inputs((96, 96, 3)), Network(width=0.3), None)


# What PyTorch wrote before version 1.6.


class FakeTensor:
    """Pickles as PyTorch's tensors do."""

    def __init__(self, array: Array, offset: int = 0, size: int | None = None) -> None:
        self.array, self.offset, self.size = array, offset, size

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        shape = self.array.shape if self.size is None else (self.size,)
        strides = tuple(step // self.array.itemsize for step in self.array.strides)[: len(shape)]
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (Storage(self.array), self.offset, shape, strides, False, OrderedDict())


class Storage:
    def __init__(self, array: Array) -> None:
        self.array = array


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty functions and classes of PyTorch's names, to which a pickle can refer."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*arguments: Any) -> None:
        raise AssertionError("the test only writes")

    for holder, value in ((module, type("FloatStorage", (), {})), (utils, _rebuild_tensor_v2)):
        value.__module__, value.__qualname__ = holder.__name__, value.__name__
        setattr(holder, value.__name__, value)
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def saved(tensors: dict[str, Any], claimed: int | None = None) -> bytes:
    """The file of these tensors; every storage claims to have `claimed` numbers."""
    arrays: dict[str, Array] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, Storage):
                return None
            key = str(id(value.array))
            arrays[key] = value.array
            kind = sys.modules["torch"].FloatStorage
            return "storage", kind, key, "cpu", claimed or value.array.size, None

    file = io.BytesIO()
    for value in (torch_weights.MAGIC, torch_weights.PROTOCOL, {"little_endian": True}):
        pickle.dump(value, file, 2)
    Pickler(file, 2).dump(OrderedDict(tensors))
    pickle.dump(list(arrays), file, 2)
    for array in arrays.values():
        file.write(struct.pack("<q", array.size) + array.tobytes())
    return file.getvalue()


@pytest.mark.usefixtures("torch")
def test_tensors_saved_by_pytorch_are_read_without_it(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float32)}
    tensors = {name: FakeTensor(array) for name, array in arrays.items()}
    (tmp_path / "w.pth").write_bytes(saved({**tensors, "view": FakeTensor(arrays["b"], 1, 2)}))
    read = torch_weights.read(tmp_path / "w.pth")
    assert list(read) == ["a", "b", "view"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
    np.testing.assert_array_equal(read["view"], [1, 1])


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.usefixtures("torch")
def test_a_hostile_file_of_weights_runs_nothing_and_reads_nothing_beyond_it(tmp_path: Path) -> None:
    ones = np.ones(4, np.float32)
    whole = saved({"a": FakeTensor(ones)})
    cases = {
        "posix.system is not part": saved({"a": Hostile(tmp_path / "ran")}),
        "__builtin__.eval is not part": saved({"a": FakeTensor(ones), "b": eval}),
        "size of buffer": saved({"a": FakeTensor(ones, 0, 5)}),
        "storage of 1000000000000 numbers is larger": saved({"a": FakeTensor(ones)}, 10**12),
        "something other than tensors": saved({"a": 3}),
        "more after the last": whole + b"x",
        "Ran out of input|pickle data was truncated|buffer": whole[:-20],
        "magic number": pickle.dumps(1) + whole,
        "persistent IDs": b"PK\3\4" + whole,
    }
    for reason, data in cases.items():
        (tmp_path / "w.pth").write_bytes(data)
        with pytest.raises(UserError, match=rf"w.pth is not a dictionary of tensors.*({reason})"):
            torch_weights.read(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


# Backbones with weights.


def save_no_top(path: Path, shape: tuple[int, ...] = (32, 32, 3), width: float = 0.25) -> Any:
    """A file such as keras.applications publishes, of random weights; returns its backbone."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    from pipeline.architectures import _backbone, mobilenet_v1

    backbone = _backbone.backbone(
        mobilenet_v1.features, shape, _backbone.complete(Network(width=width))
    )
    rng = np.random.default_rng(0)
    for layer in backbone.layers:
        layer.set_weights([weight + rng.uniform(0, 0.1) for weight in layer.get_weights()])
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, backbone)
    return backbone


def recipe(**values: Any) -> Train:
    base = params.load(ROOT / "params.yaml").train.model_dump()
    small = {
        "architecture": "mobilenet_v1",
        "augmentation": [],
        "batch_size": 16,
        "epochs": 3,
        "learning_rate": 0.01,
        "optimizer": "Adam",
        "schedule": "constant",
        "warmup": 0.0,
        "steps_per_execution": 1,
    }
    return Train.model_validate(base | small | values)


def test_a_downloaded_file_gives_its_weights_to_all_but_the_output_layer(tmp_path: Path) -> None:
    from pipeline.training import transfer

    expected = save_no_top(tmp_path / "no_top.h5")
    train = recipe(start_from=str(tmp_path / "no_top.h5"))
    model, taken = taken_from(train, (32, 32, 3))
    groups = transfer.layers(model)
    assert taken == len(groups) - 1 == 27
    weights = [weight for group in groups[:-1] for layer in group for weight in layer.get_weights()]
    for actual, wanted in zip(weights, expected.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, wanted)
    assert transfer.phases(train, taken)[0].frozen == 27  # by default all of them


def taken_from(train: Train, shape: tuple[int, ...]) -> tuple[Any, int]:
    """The model that starts from what `train` names, and how many layers it takes."""
    from pipeline.training import models, transfer
    from pipeline.training.batches import Data

    images, labels = np.zeros((4, *shape), np.uint8), np.arange(4) % 2
    data = Data((images, labels), (images, labels), 2)
    model = models.build(train, data)
    return model, transfer.take(train, model, models.start(train, data))


def test_grey_images_give_the_same_as_the_same_images_in_colour(tmp_path: Path) -> None:
    save_no_top(tmp_path / "no_top.h5")
    train = recipe(start_from=str(tmp_path / "no_top.h5"))
    (colour, _), (grey, _) = taken_from(train, (32, 32, 3)), taken_from(train, (32, 32, 1))
    grey.layers[-1].set_weights(colour.layers[-1].get_weights())
    images = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 1), np.uint8)
    np.testing.assert_allclose(
        grey.predict_on_batch(images), colour.predict_on_batch(images.repeat(3, 3)), atol=1e-5
    )


def test_a_file_of_another_width_is_refused(tmp_path: Path) -> None:
    save_no_top(tmp_path / "no_top.h5", width=0.5)
    with pytest.raises(UserError, match="does not hold the weights of this backbone"):
        taken_from(recipe(start_from=str(tmp_path / "no_top.h5")), (32, 32, 3))
    (tmp_path / "no_top.h5").write_bytes(b"<html>")
    with pytest.raises(UserError, match="does not hold the weights of this backbone"):
        taken_from(recipe(start_from=str(tmp_path / "no_top.h5")), (32, 32, 3))


def test_weights_by_name_are_fetched_from_a_server_and_checked(
    tmp_path: Path, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.architectures import mobilenet_v3_small

    (tmp_path / "mirror").mkdir()
    file = tmp_path / "mirror/weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5"
    file.write_bytes(b"not the published file")
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr(mobilenet_v3_small, "ADDRESS", "http://127.0.0.1:9/none")
    train = recipe(architecture="mobilenet_v3_small", weights="imagenet", network={"width": 0.75})
    with pytest.raises(UserError, match=r"its MD5 differs.*127.0.0.1:9.*download failed"):
        taken_from(train, (32, 32, 3))
    assert not (alone / pretrained_files.FOLDER / file.name).exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"architecture": "edge", "weights": "imagenet"},
            "weights is imagenet, and edge is not a published network; .* efficientnet_lite0, mob",
        ),
        (
            {"architecture": "edge", "start_from": "a_no_top.h5"},
            "start_from is a_no_top.h5, and edge is not a published network",
        ),
        (
            {"weights": "imagenet", "start_from": "a.keras"},
            "weights is imagenet and start_from is a.keras; expected weights none, or start_from",
        ),
        ({"weights": "coco"}, "imagenet"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_runs(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        recipe(**values)


@pytest.mark.parametrize(
    ("architecture", "network", "sentence"),
    [
        ("mobilenet_v1", {"hidden": [64]}, "train.network.hidden is .64., and the layers of a"),
        ("mobilenet_v2", {"dropout": [0.1, 0.2]}, "train.network.dropout is a list"),
        ("edge", {"width": 0.5}, "train.network.width is 0.5, which is for backbones"),
        ("mlp", {"convolution": "full"}, "train.network.convolution is full, which is for edge"),
        ("ds_cnn", {"end": "mean"}, "train.network.end is mean, which is for edge, tiny and cnn"),
        ("mobilenet_v2", {"end": "mean"}, "train.network.end is 'mean', and the layers of a"),
    ],
)
def test_a_value_that_a_network_cannot_take_is_refused(
    architecture: str, network: dict[str, Any], sentence: str
) -> None:
    import importlib

    module = importlib.import_module(f"pipeline.architectures.{architecture}")
    with pytest.raises(UserError, match=sentence):
        module.build(Inputs((96, 96, 3)), 5, Network(**network))


@pytest.mark.slow
def test_efficientnet_lite0_of_the_package_index_knows_what_is_in_a_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sklearn.datasets import load_sample_images

    from pipeline.architectures import efficientnet_lite0

    monkeypatch.chdir(ROOT)  # where the file is kept
    weights = torch_weights.read(fetch(efficientnet_lite0.PUBLISHED))
    used: set[str] = set()

    class Recorded(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            used.add(name)
            return super().__getitem__(name)

    model = efficientnet_lite0.pretrained(Inputs((224, 224, 3)), Network(), None)
    efficientnet_lite0.assign(model, Recorded(weights))
    unused = {name for name in weights if not name.endswith("num_batches_tracked")} - used
    assert unused == {"_fc.weight", "_fc.bias"}
    photos = np.stack([image[100:324, 200:424] for image in load_sample_images().images])
    logits = model.predict_on_batch(photos) @ weights["_fc.weight"].T + weights["_fc.bias"]
    best = logits.argsort(1)[:, -3:]
    assert 698 in best[0]  # palace
    assert 985 in best[1]  # daisy
