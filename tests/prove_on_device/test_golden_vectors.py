"""A file that does not reproduce its golden vectors is refused and proven worse."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from pipeline.bundle import golden
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.formats import onnx_int8
from pipeline.inputs import pixels
from pipeline.reporting import statistics
from pipeline.runtimes.process import Answer, Interpreter, RuntimeProcess, Task
from pipeline.targets import classes
from serving import Classifier
from serving.classifier import GOLDEN
from serving.model_card import FILE as CARD
from serving.model_card import ModelCard
from tests.acceptance_sets import npz, rewrite
from tests.conftest import ROOT, Project, emulated
from tests.device import call, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def saturating(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The network in U8S8 (uint8 activations, int8 weights), which saturates on some processors."""
    folder = tmp_path_factory.mktemp("u8s8")
    images = np.load(finished.folder / "data/prepared/train/images.npy", mmap_mode="r")[:100]
    quant_pre_process(
        finished.folder / "exported/onnx_float32.onnx",
        folder / "prepared.onnx",
        skip_symbolic_shape=True,
    )
    quantize_static(
        folder / "prepared.onnx",
        folder / "onnx_int8.onnx",
        onnx_int8.CalibrationBatches(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return (folder / "onnx_int8.onnx").read_bytes()


def probabilities(interpreter: Interpreter, file: Path, images: Array, folder: Path) -> Array:
    np.save(folder / "images.npy", images)
    process = RuntimeProcess(
        interpreter, "onnxruntime", Task([file], [folder / "images.npy"], folder)
    )
    try:
        assert process.answer() == Answer()
    finally:
        process.close()
    return np.asarray(np.load(folder / f"{file.stem}.npy"))


def test_a_file_that_saturates_on_this_processor_is_refused_and_is_worse(
    finished: Project, bundle: Path, tmp_path: Path, saturating: bytes
) -> None:
    """U8S8 saturates with AVX2 without VNNI; the golden vectors are from one without AVX."""
    on_nehalem, on_haswell = (emulated(name, "onnxruntime") for name in ("nehalem", "haswell"))
    (bundle / "onnx_int8.onnx").write_bytes(saturating)
    test = finished.folder / "data/prepared/test"
    images = np.load(test / "images.npy", mmap_mode="r")[:300]
    labels = np.load(test / "labels.npy")[:300]
    synthetic = pixels.synthetic(images[golden.spread_rows(labels)[::2]], (0, 255))
    candidates = np.concatenate([images, synthetic])
    right = probabilities(on_nehalem, bundle / "onnx_int8.onnx", candidates, tmp_path)
    reference = np.load(finished.folder / artifacts.TEST_PROBABILITIES, mmap_mode="r")[:300]
    vectors = golden.choose(classes, (images, labels), reference, {"onnx_int8": right}, synthetic)
    card = ModelCard.parse((bundle / CARD).read_bytes())
    (file,) = (file for file in card.files if file.format == "onnx_int8")
    digest = artifacts.sha256(bundle / "onnx_int8.onnx")
    file = dataclasses.replace(
        file, sha256=digest, bytes=len(saturating), golden_tolerance=statistics.QUANTIZED_TOLERANCE
    )
    arrays = {"images": vectors.images, "labels": vectors.labels, **vectors.probabilities}
    rewrite(
        bundle,
        golden__npz=npz(**arrays),
        model_card__json=dataclasses.replace(card, files=[file]).dump(),
    )
    checked = serving(on_haswell, "check", bundle)
    assert checked.returncode == 1
    assert (
        "onnxruntime does not reproduce the golden vectors of onnx_int8 (off by " in checked.stdout
    )
    assert serving(on_nehalem, "check", bundle).returncode == 0
    load = "import sys; from serving import Classifier; Classifier.load(sys.argv[1])"
    command = (*on_haswell.command, "-c", load, bundle)
    loaded = call(*command, env=on_haswell.environment, cwd=ROOT)
    assert "RuntimeRefusalError" in loaded.stderr
    assert "does not reproduce the golden vectors of onnx_int8" in loaded.stderr
    proved = serving(on_haswell, "prove", bundle, "--images", "10")
    assert proved.returncode == 1
    assert (
        "worse: its answers to the golden vectors differ from those on the maker's processor"
        in proved.stdout
    )


def test_a_file_that_differs_in_one_golden_vector_is_refused(bundle: Path) -> None:
    with np.load(bundle / GOLDEN) as vectors:
        arrays = {name: vectors[name] for name in vectors.files}
    last = arrays["onnx_float32"][-1]  # of the synthetic extremes
    arrays["onnx_float32"][-1] = last[::-1]
    rewrite(bundle, golden__npz=npz(**arrays))
    with pytest.raises(Exception, match="does not reproduce the golden vectors of onnx_float32"):
        Classifier.load(bundle, "onnx_float32")
