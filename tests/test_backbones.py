"""Backbones: training, and their files on every runtime, of random weights and small images."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from pipeline.bundle import card
from pipeline.config import boards, params
from pipeline.config.params import Network
from pipeline.config.starts import backbones
from pipeline.embedded import microcontroller
from pipeline.files.artifacts import Array, Inputs
from pipeline.runtimes import environments, inspect_model
from pipeline.runtimes.process import Answer, Interpreter, RuntimeProcess, Task
from tests.conftest import ROOT
from tests.pretrained.conftest import recipe, save_no_top

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.filterwarnings("ignore")]

RUNTIMES = {
    "tflite_float32": ["tflite_runtime", "litert"],
    "tflite_int8": ["tflite_runtime", "litert", "tflite_micro"],
    "onnx_float32": ["onnxruntime"],
}


def photos(size: int, count: int = 16) -> Array:
    """Images of two colours with noise, which use the whole range of pixels."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 100, (count, size, size, 3))
    images = (noise + 150 * (np.arange(count) % 2)[:, None, None, None]).astype(np.uint8)
    images[:, 0, 0], images[:, 0, 1] = 0, 255
    return images


def settle(model: Any, images: Array) -> None:
    """Gives batch normalization the statistics of the images, as a training would.

    With fresh statistics the activations fade from layer to layer, until the scale of the last one
    is too small for TensorFlow Lite Micro, which aborts.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images.astype(np.float32), training=True)


def exported(model: Any, name: str, images: Array, folder: Path) -> Path:
    """The model in a format, as a file that no runtime must refuse."""
    module = importlib.import_module(f"pipeline.formats.{name}")
    path = folder / f"{name}{module.SUFFIX}"
    path.write_bytes(module.convert(model, images))
    _, problems = inspect_model.read(path)
    assert not problems
    return path


def run(path: Path, runtime: str, images: Path, folder: Path) -> tuple[Array, Answer]:
    (folder / runtime).mkdir(exist_ok=True)
    interpreter = Interpreter.here(environments.python(runtime))
    process = RuntimeProcess(interpreter, runtime, Task([path], [images], folder / runtime))
    answer = process.answer()
    process.close()
    assert answer.reason is None, f"{path.name} on {runtime}: {answer.reason}"
    return np.load(folder / runtime / f"{path.stem}.npy"), answer


@pytest.mark.parametrize("name", backbones())
def test_a_backbone_runs_everywhere_and_gives_the_same_in_float(name: str, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    module = importlib.import_module(f"pipeline.architectures.{name}")
    model = module.build(Inputs((32, 32, 3)), 3, Network())
    images = photos(32)
    settle(model, images)
    np.save(tmp_path / "images.npy", images)
    expected = model.predict_on_batch(images)
    for format_name, runtimes in RUNTIMES.items():
        path = exported(model, format_name, images, tmp_path)
        for runtime in runtimes:
            probabilities, _ = run(path, runtime, tmp_path / "images.npy", tmp_path)
            if format_name == "tflite_int8":  # random weights amplify rounding over 50 layers
                assert probabilities.shape == expected.shape
                np.testing.assert_allclose(probabilities.sum(1), 1, atol=0.05)
            else:
                np.testing.assert_allclose(probabilities, expected, atol=1e-4)


def test_mobilenet_at_96_pixels_fits_the_memory_of_an_esp32_s3(tmp_path: Path) -> None:
    from pipeline.architectures import mobilenet_v1

    model = mobilenet_v1.build(Inputs((96, 96, 3)), 6, Network())
    images = photos(96, 4)
    settle(model, images)
    np.save(tmp_path / "images.npy", images)
    path = exported(model, "tflite_int8", images, tmp_path)
    _, answer = run(path, "tflite_micro", tmp_path / "images.npy", tmp_path)
    assert answer.arena_bytes is not None
    network = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    arena, with_esp_nn = microcontroller.with_margins(answer.arena_bytes, network)
    assert boards.misfit("esp32-s3", with_esp_nn, path.stat().st_size) is None
    print(f"arena {arena:,} bytes, with ESP-NN {with_esp_nn:,}")


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from tests.peak_memory import PeakMemory
from pipeline.training import fit
from pipeline.training.batches import Data
from tests.pretrained.conftest import recipe

peak = PeakMemory()
images = np.random.default_rng(0).integers(0, 256, (60, 224, 224, 3), np.uint8)
labels = np.arange(60) % 2
data = Data((images[:40], labels[:40]), (images[40:], labels[40:]), 2)
train = recipe(start_from="no_top.h5", network={"width": 1.0}, epochs=1)
fit.fit(train, data, Path("state"), lambda row: None)
print(peak.bytes)
"""


def test_a_training_on_features_of_large_photos_takes_little_memory(tmp_path: Path) -> None:
    """The gradient at the start needs the outputs of all layers, for each photo."""
    save_no_top(tmp_path / "no_top.h5", (224, 224, 3), 1.0)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    peak = int(done.stdout.splitlines()[-1])
    assert peak < 1.5e9, f"{peak:,} bytes"


def test_thawed_layers_learn_and_their_batch_normalization_does_not(tmp_path: Path) -> None:
    import keras

    from pipeline.training import fit
    from pipeline.training.batches import Data

    start = save_no_top(tmp_path / "no_top.h5")
    thaw = [{"after": 1, "freeze": 20, "learning_rate": 0.001}]
    train = recipe(start_from=str(tmp_path / "no_top.h5"), thaw=thaw, epochs=2, keep="last")
    images, labels = photos(32), np.arange(16) % 2
    data = Data((images, labels), (images, labels), 2)
    model = fit.fit(train, data, tmp_path / "state", lambda row: None).model
    by_name = {layer.name: layer for layer in start.layers}
    changed = set()
    for layer in model.layers:
        weights = by_name[layer.name].get_weights() if layer.name in by_name else []
        if any(map(np.any, map(np.subtract, layer.get_weights(), weights))):
            changed.add(layer.name)
            assert not isinstance(layer, keras.layers.BatchNormalization)
    assert "conv_pw_13" in changed
    assert "conv1" not in changed


def test_the_card_names_the_weights_and_their_licence() -> None:
    settings = params.load(ROOT / "params.yaml")
    assert card._weights(settings) == {}
    train = recipe(architecture="efficientnet_lite0", weights="imagenet")
    named = card._weights(settings.model_copy(update={"train": train}))
    assert "Apache-2.0, Copyright (c) 2020, ML Illustrated" in named["pretrained_weights"]


@pytest.mark.parametrize("name", ["edge", "tiny"])
def test_small_networks_flatten_up_to_28_pixels_and_take_means_above(name: str) -> None:
    module = importlib.import_module(f"pipeline.architectures.{name}")
    for size, expected in ((28, "Flatten"), (29, "GlobalAveragePooling2D")):
        model = module.build(Inputs((size, size, 1)), 10, Network())
        kinds = {type(layer).__name__ for layer in model.layers}
        assert kinds & {"Flatten", "GlobalAveragePooling2D"} == {expected}
    sizes = {
        module.build(Inputs((size, size, 3)), 6, Network()).count_params() for size in (64, 96)
    }
    assert len(sizes) == 1
