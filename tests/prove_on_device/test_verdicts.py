"""`serving prove` on the device, here and on processors emulated by QEMU."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from serving import Bundle, __main__
from serving.acceptance import Acceptance
from serving.gate import NOT_SHOWN, PROVEN, WORSE
from serving.model_card import FILE as CARD
from serving.model_card import ModelCard
from tests.acceptance_sets import change_card, npz, rewrite
from tests.conftest import ROOT, Project, emulated
from tests.device import assert_same, serving, verified
from tests.prove_on_device.conftest import FEW, here, with_proofs
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow


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
        assert f"{pair['lost']} of 1,000 examples lost, {pair['gained']} gained" in pair["sentence"]


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
    assert "not shown: 0 of 100 examples lost, 0 gained: neither these examples " in output
    assert " nor the maker's 200 show that at most 1 % is lost (here 3.04 %); " in output
    assert "; 310 examples like these would show it" in output
    # A thousand images prove it by themselves.
    assert __main__.main(["prove", str(bundle), "--format", "onnx_float32"]) == 0
    assert (
        "proven: 0 of 1,000 examples lost, 0 gained, so it loses at most 0.31 % where 1 % is "
        "allowed" in capsys.readouterr().out
    )


def test_a_card_whose_bound_contradicts_its_verdict_is_not_believed(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = ModelCard.parse((bundle / CARD).read_bytes())
    change_card(bundle, files=with_proofs(card, verdict=PROVEN, accuracy_lost_bound=0.011))
    assert __main__.main(["prove", str(bundle), "--format", "onnx_float32", *FEW]) == 3
    assert (
        "not shown: 0 of 100 examples lost, 0 gained: neither these examples nor the maker's"
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
        == "error: --images 1001 is too many: the acceptance set has 1,000 examples\n"
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
    while "examples" not in first:  # messages of the interpreter itself
        first = process.stderr.readline()
    assert "of 40,000 examples, about " in first
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert not out
    assert "Traceback" not in errors
