"""The verdict on emulated processors, from golden vectors, a sample and the native verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle import gates
from pipeline.bundle.golden import Golden
from pipeline.config import params
from pipeline.files.artifacts import Array
from pipeline.files.reports.verify import ComparedPair
from pipeline.targets import classes
from pipeline.verification import emulated, schedule
from pipeline.verification.material import Material
from pipeline.verification.pair import Pair
from serving.gate import NOT_SHOWN, PROVEN, WORSE
from tests import reports
from tests.conftest import ROOT

IMAGES, TELLING = 100, 4
LABELS = np.arange(IMAGES) % 10
REFERENCE = np.eye(10, dtype="float32")[LABELS]
EXPECTED = REFERENCE[:TELLING]
NATIVE_REASON = "1 of 56 images lost, 0 gained: no significant loss, but so few images show little"


def pair(processor: str, folder: Path) -> Pair:
    file = folder / "tflite_int8.tflite"
    file.write_bytes(b"file")
    result = Pair("tflite_int8", file, "litert", processor)
    result.known = result.known.changed(
        runtime_version="2.3.0", requirements=reports.compared().requirements
    )
    return result


def judge(folder: Path, native_state: str, sample: Array, golden: Array) -> ComparedPair:
    """The report on a file with a native verdict and these probabilities on another processor."""
    settings = params.load(ROOT / "params.yaml")
    rows = np.arange(IMAGES)
    material = Material(classes, LABELS, REFERENCE, IMAGES, rows, np.zeros(0), IMAGES, [], folder)
    vectors = Golden(np.zeros(TELLING), np.zeros(TELLING), {"tflite_int8": EXPECTED}, spread=0)
    native = pair("native", folder)
    native.report = reports.compared(state=native_state, reason=NATIVE_REASON)
    haswell = pair("haswell", folder)
    haswell.probabilities = np.concatenate([golden, sample])
    counterpart = schedule.native_counterpart(haswell, [native])
    emulated.judge(haswell, material, settings, vectors, counterpart)
    assert isinstance(haswell.report, ComparedPair)
    return haswell.report


def wrong(count: int) -> Array:
    """Probabilities with the first `count` images classified wrongly."""
    return np.concatenate([np.roll(REFERENCE[:count], 1, axis=1), REFERENCE[count:]])


@pytest.mark.parametrize("native", [PROVEN, NOT_SHOWN, WORSE])
def test_equal_probabilities_have_the_native_verdict(native: str, tmp_path: Path) -> None:
    reason = None if native == PROVEN else f"as on this processor: {NATIVE_REASON}"
    for lost in (0, 1):
        facts = judge(tmp_path, native, wrong(lost), EXPECTED + np.float32(0.01))
        assert facts.state == native
        assert facts.reason == reason
        assert "images_needed" not in facts.model_fields_set


@pytest.mark.parametrize("native", [PROVEN, NOT_SHOWN])
def test_golden_vectors_that_differ_or_lost_images_are_worse(native: str, tmp_path: Path) -> None:
    facts = judge(tmp_path, native, REFERENCE, EXPECTED - np.float32(0.2))
    assert facts.state == WORSE
    assert str(facts.reason).startswith(
        "its outputs for the golden vectors differ from those on this processor "
        "by up to 0.2; expected at most 0.08; take this"
    )
    facts = judge(tmp_path, native, wrong(76), EXPECTED)
    assert facts.state == WORSE
    assert str(facts.reason).startswith(
        "76 of 100 images lost, 0 gained: significantly more than the 0.2 % allowed; take this"
    )
    broken = REFERENCE.copy()
    broken[7, 3] = np.nan
    assert str(judge(tmp_path, native, broken, EXPECTED).reason).startswith(
        "some of its outputs are not finite numbers"
    )


def test_the_gate_names_what_is_worse_once() -> None:
    settings = params.load(ROOT / "params.yaml")
    native = reports.compared(format="a", state=WORSE, reason="9 lost")
    emulated_pair = native.changed(processor="haswell", reason="as on this processor: 9 lost")
    other = emulated_pair.changed(format="b", reason="its golden vectors differ")
    stage_reports = reports.bundled(verify=reports.verification(native, emulated_pair, other))
    assert gates.failures(settings, stage_reports) == [
        "a on litert is worse (9 lost)",
        "b on litert on haswell is worse (its golden vectors differ)",
    ]
