"""Every file of this working tree on every emulated processor and runtime."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline import verify
from pipeline.bundle.golden import Golden
from pipeline.config import params
from pipeline.config.processors import EMULATED, WHEELS
from pipeline.files import artifacts
from pipeline.files.reports.verify import ComparedPair
from pipeline.runtimes import environments
from pipeline.verification import emulated, material
from pipeline.verification.emulated import EmulatedRuntime
from pipeline.verification.pair import Pair
from serving import runtimes
from serving.gate import PROVEN
from tests import reports
from tests.conftest import ROOT
from tests.conftest import emulated as interpreter
from tests.device import assert_same, serving, verified

IMAGES = 200  # for integer files; a tenth of that for files that compute in float32
PLACES = [
    (name, runtime)
    for name, processor in EMULATED.items()
    for runtime in sorted(WHEELS[processor.architecture] - {"tflite_micro"})
]


@pytest.fixture
def vectors(monkeypatch: pytest.MonkeyPatch) -> Golden:
    """The golden vectors of this working tree."""
    monkeypatch.chdir(ROOT)
    with np.load(artifacts.GOLDEN) as arrays:
        formats = {name: arrays[name] for name in arrays.files if name not in ("images", "labels")}
        return Golden(arrays["images"], arrays["labels"], formats, spread=16)


@pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="the native processor is expected to be x86-64"
)
@pytest.mark.parametrize(("processor", "runtime"), PLACES)
def test_a_file_that_is_proven_here_is_proven_there(
    vectors: Golden, processor: str, runtime: str, tmp_path: Path
) -> None:
    values = params.load().model_dump(mode="json")
    values["verify"]["processor_images"] = IMAGES
    settings = params.Params.model_validate(values)
    images = material.gather(settings, tmp_path)
    np.save(tmp_path / "telling.npy", vectors.telling)
    files = verify.exported_files()
    pairs = [
        Pair(name, file, runtime, processor)
        for name, file in files.items()
        if runtimes.SUFFIXES[runtime] == file.suffix
    ]
    list(EmulatedRuntime(pairs, environments.python(runtime)).run(images, settings, tmp_path))
    assert pairs
    for pair in pairs:
        assert pair.probabilities is not None, pair.report
        native = reports.compared(format=pair.format, runtime=runtime, state=PROVEN)
        emulated.judge(pair, images, settings, vectors, native)
        assert isinstance(pair.report, ComparedPair)
        assert pair.report.state == PROVEN, pair.report
        assert pair.report.images == (IMAGES if pair.computes_in_integers else IMAGES // 10)


@pytest.mark.parametrize("processor", ["haswell", "cortex-a72"])
@pytest.mark.parametrize(
    ("name", "runtime"),
    [("onnx_int8", "onnxruntime"), ("tflite_int8", "litert"), ("tflite_float32", "litert")],
)
def test_a_device_with_that_processor_proves_what_was_verified(
    name: str, runtime: str, processor: str
) -> None:
    pair = verified(ROOT, format=name, runtime=runtime, processor=processor)
    (archive,) = (ROOT / "dist").glob("*.tar.gz")
    options = ["--images", str(pair["images"]), "--format", name, "--json"]
    done = serving(interpreter(processor, runtime), "prove", archive, *options)
    assert done.returncode == 0, done.stderr
    (proved,) = json.loads(done.stdout)["pairs"]
    assert_same(proved, pair)
