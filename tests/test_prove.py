"""The device proves its files with `serving prove`, here and on processors emulated by QEMU."""

from __future__ import annotations

import dataclasses
import json
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

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
from pipeline.runtimes import environments
from pipeline.runtimes.process import Answer, Interpreter, RuntimeProcess, Task
from pipeline.targets import classes
from serving import Bundle, Classifier, __main__
from serving.acceptance import Acceptance
from serving.classifier import GOLDEN
from serving.gate import NOT_SHOWN, PROVEN, WORSE
from serving.model_card import FILE as CARD
from serving.model_card import ModelCard
from serving.model_file import ModelFile
from tests.acceptance_sets import change_card, npz, program, rewrite, sealed
from tests.conftest import ROOT, Project, emulated
from tests.device import assert_same, call, serving, verified
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow


FEW = ["--images", "100"]


def here(runtime: str) -> Interpreter:
    return Interpreter.here(environments.python(runtime))


def with_proofs(card: ModelCard, **values: Any) -> list[ModelFile]:
    """The files of a card with other values in all their proofs."""
    files = []
    for file in card.files:
        proofs = [dataclasses.replace(proof, **values) for proof in file.proofs]
        files.append(dataclasses.replace(file, proofs=proofs))
    return files


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime", "tflite_runtime"])
def test_every_file_is_proven_on_the_processor_that_verified_it(
    archive: Path, runtime: str
) -> None:
    done = serving(here(runtime), "prove", archive, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["state"], report["chosen"]["runtime"]) == (PROVEN, runtime)
    assert {pair["state"] for pair in report["pairs"]} == {PROVEN}
    assert report["versions"][runtime] == report["chosen"]["runtime_version"]
    assert report["bundle"]["name"] == "mnist-digits"
    assert report["device"]["processor"]
    for pair in report["pairs"]:
        assert pair["images"] == 1000
        assert pair["accuracy_interval"][0] < pair["accuracy"] <= pair["accuracy_interval"][1]
        assert 0 < pair["median_milliseconds"] <= pair["p95_milliseconds"]
        assert f"{pair['lost']} of 1,000 images lost, {pair['gained']} gained" in pair["sentence"]


def test_tflite_micro_gets_the_result_of_its_verification(finished: Project, archive: Path) -> None:
    pair = verified(finished.folder, runtime="tflite_micro", processor="native")
    options = ["--images", str(pair["images"]), "--json"]
    done = serving(here("tflite_micro"), "prove", archive, *options)
    (proved,) = json.loads(done.stdout)["pairs"]
    assert_same(proved, pair)
    assert done.returncode == {PROVEN: 0, NOT_SHOWN: 3}[pair["state"]]


@pytest.mark.parametrize(
    ("runtime", "name"),
    [("onnxruntime", "onnx_int8"), ("litert", "tflite_int8"), ("onnxruntime", "onnx_float32")],
)
def test_an_emulated_processor_gets_the_result_of_its_verification(
    finished: Project, archive: Path, runtime: str, name: str
) -> None:
    nehalem = emulated("nehalem", runtime)
    pair = verified(finished.folder, format=name, runtime=runtime, processor="nehalem")
    options = ["--images", str(pair["images"]), "--format", name, "--json"]
    done = serving(nehalem, "prove", archive, *options)
    (proved,) = json.loads(done.stdout)["pairs"]
    assert_same(proved, pair)
    assert done.returncode == {PROVEN: 0, NOT_SHOWN: 3, WORSE: 1}[pair["state"]]


def test_too_few_images_prove_nothing_and_the_sentence_says_how_many_would(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = ModelCard.parse((bundle / CARD).read_bytes())
    change_card(bundle, files=with_proofs(card, verdict=NOT_SHOWN, images=200))
    assert __main__.main(["prove", str(bundle), "--format", "onnx_float32", *FEW]) == 3
    output = capsys.readouterr().out
    assert "not shown: 0 of 100 images lost, 0 gained: neither these images " in output
    assert " nor the maker's 200 show that at most 1 % is lost (here 3.04 %); " in output
    assert "; 310 images like these would show it" in output
    # A thousand images prove it by themselves.
    assert __main__.main(["prove", str(bundle), "--format", "onnx_float32"]) == 0
    assert (
        "proven: 0 of 1,000 images lost, 0 gained, so it loses at most 0.31 % where 1 % is allowed"
        in capsys.readouterr().out
    )


def test_a_card_whose_bound_contradicts_its_verdict_is_not_believed(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = ModelCard.parse((bundle / CARD).read_bytes())
    change_card(bundle, files=with_proofs(card, verdict=PROVEN, accuracy_lost_bound=0.011))
    assert __main__.main(["prove", str(bundle), "--format", "onnx_float32", *FEW]) == 3
    assert (
        "not shown: 0 of 100 images lost, 0 gained: neither these images nor the maker's"
        in capsys.readouterr().out
    )


def test_a_file_that_loses_images_here_is_worse(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted = Acceptance.load(Bundle(bundle))
    arrays = {
        "images": 255 - accepted.images,
        "labels": accepted.labels,
        "probabilities": accepted.probabilities,
    }
    rewrite(bundle, acceptance__npz=npz(**arrays))
    assert __main__.main(["prove", str(bundle), "--format", "onnx_float32", *FEW, "--json"]) == 1
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert pair["state"] == WORSE
    assert (
        "significantly more than the 1 % allowed; use another file or runtime on this device"
        in pair["sentence"]
    )


def test_too_many_images_and_a_draft_are_refused_in_a_sentence(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main(["prove", str(bundle), "--images", "1001"]) == 1
    assert (
        capsys.readouterr().err
        == "error: --images 1001 is too many: the acceptance set has 1,000 images\n"
    )
    change_card(bundle, not_proven=["the target was missed"])
    assert __main__.main(["prove", str(bundle)]) == 1
    assert "is a draft, NOT PROVEN (the target was missed)" in capsys.readouterr().err
    assert __main__.main(["prove", str(bundle), "--draft", "--format", "onnx_float32", *FEW]) == 0
    assert (
        "a draft, NOT PROVEN by its maker, on this device, as onnx_float32"
        in capsys.readouterr().out
    )


def test_long_work_reports_progress_and_ends_cleanly_at_ctrl_c(bundle: Path) -> None:
    accepted = Acceptance.load(Bundle(bundle))
    more = {
        name: np.concatenate([array] * 40) for name, array in dataclasses.asdict(accepted).items()
    }
    rewrite(bundle, acceptance__npz=npz(**more))
    interpreter = here("tflite_micro")
    command = [*interpreter.command, "-m", "serving", "prove", str(bundle)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    while "images" not in first:  # messages of the interpreter itself
        first = process.stderr.readline()
    assert "of 40,000 images, about " in first
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert not out
    assert "Traceback" not in errors


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


def test_the_c_program_agrees_with_micro_in_every_figure(finished: Project, bundle: Path) -> None:
    done = program(finished, "--prove", bundle / "embedded/c/acceptance.bin")
    options = ["--format", "tflite_int8", "--json"]
    report = json.loads(serving(here("tflite_micro"), "prove", bundle, *options).stdout)
    proved = report["pairs"][0]
    *lines, sentence = done.stdout.splitlines()
    facts = {name: float(value) for name, value in (line.split("\t") for line in lines)}
    low, high = proved["accuracy_interval"]
    compared = {**proved, "accuracy_low": low, "accuracy_high": high}
    del compared["max_accuracy_drop"]  # larger for TensorFlow Lite Micro
    for name, value in compared.items():
        if name in facts:
            assert facts[name] == pytest.approx(value, rel=1e-8), name
    assert {"lost", "agreement", "largest_difference", "golden_difference"} <= facts.keys()
    assert sentence.startswith("proven: ")
    assert done.returncode == 0


def test_the_c_program_has_three_verdicts(finished: Project, bundle: Path, tmp_path: Path) -> None:
    data = (bundle / "embedded/c/acceptance.bin").read_bytes()
    maker_unsure, little_allowed = struct.pack("<I", 1), struct.pack("<d", 0.002)
    (tmp_path / "unsure.bin").write_bytes(
        sealed(data[:24] + maker_unsure + data[28:40] + little_allowed + data[48:-4])
    )
    unsure = program(finished, "--prove", tmp_path / "unsure.bin")
    golden_images = struct.unpack_from("<I", data, 8)[0]
    first = 56 + golden_images * (784 + 40)
    inverted = bytes(255 - byte for byte in data[first : first + 784 * 1000])
    (tmp_path / "worse.bin").write_bytes(
        sealed(data[:first] + inverted + data[first + len(inverted) : -4])
    )
    worse = program(finished, "--prove", tmp_path / "worse.bin")
    assert unsure.stdout.splitlines()[-1].startswith("not shown: ")
    assert unsure.returncode == 3
    assert worse.stdout.splitlines()[-1].startswith("worse: ")
    assert worse.returncode == 1
