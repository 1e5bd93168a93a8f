"""The verdict on emulated processors, from golden vectors, a sample and the native verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import verify
from pipeline.bundle import gates
from pipeline.bundle.golden import Golden
from pipeline.config import params
from pipeline.files.artifacts import Array
from pipeline.verification import emulated
from pipeline.verification.material import Material
from pipeline.verification.pair import Pair
from serving.gate import NOT_SHOWN, PROVEN, WORSE
from tests.conftest import ROOT

IMAGES, TELLING = 100, 4
LABELS = np.arange(IMAGES) % 10
REFERENCE = np.eye(10, dtype="float32")[LABELS]
EXPECTED = REFERENCE[:TELLING]
NATIVE_REASON = "1 of 56 images lost, 0 gained: no significant loss, but so few images show little"


def pair(processor: str, folder: Path, **facts: Any) -> Pair:
    file = folder / "tflite_int8.tflite"
    file.write_bytes(b"file")
    result = Pair("tflite_int8", file, "litert", processor)
    result.facts |= {"requirements": {"weights": ["int8"]}, **facts}
    return result


def judge(folder: Path, native_state: str, sample: Array, golden: Array) -> dict[str, Any]:
    """The facts of a file with a native verdict and these probabilities on another processor."""
    settings = params.load(ROOT / "params.yaml")
    rows = np.arange(IMAGES)
    material = Material(LABELS, REFERENCE, IMAGES, rows, np.zeros(0), IMAGES, [], folder)
    vectors = Golden(np.zeros(TELLING), np.zeros(TELLING), {"tflite_int8": EXPECTED}, spread=0)
    native = pair("native", folder, state=native_state, reason=NATIVE_REASON)
    native.probabilities = REFERENCE
    haswell = pair("haswell", folder)
    haswell.probabilities = np.concatenate([golden, sample])
    counterpart = verify.native_counterpart(haswell, [native])
    emulated.judge(haswell, material, settings, vectors, counterpart)
    return haswell.facts


def wrong(count: int) -> Array:
    """Probabilities with the first `count` images classified wrongly."""
    return np.concatenate([np.roll(REFERENCE[:count], 1, axis=1), REFERENCE[count:]])


@pytest.mark.parametrize("native", [PROVEN, NOT_SHOWN, WORSE])
def test_equal_probabilities_have_the_native_verdict(native: str, tmp_path: Path) -> None:
    reason = None if native == PROVEN else f"as on this processor: {NATIVE_REASON}"
    for lost in (0, 1):
        facts = judge(tmp_path, native, wrong(lost), EXPECTED + np.float32(0.01))
        assert facts["state"] == native
        assert facts.get("reason") == reason
        assert "images_needed" not in facts


@pytest.mark.parametrize("native", [PROVEN, NOT_SHOWN])
def test_golden_vectors_that_differ_or_lost_images_are_worse(native: str, tmp_path: Path) -> None:
    facts = judge(tmp_path, native, REFERENCE, EXPECTED - np.float32(0.2))
    assert facts["state"] == WORSE
    assert facts["reason"].startswith(
        "its probabilities for the golden vectors differ from those on this processor "
        "by up to 0.2; expected at most 0.08; take this"
    )
    facts = judge(tmp_path, native, wrong(76), EXPECTED)
    assert facts["state"] == WORSE
    assert facts["reason"].startswith(
        "76 of 100 images lost, 0 gained: significantly more than the 0.2 % allowed; take this"
    )
    broken = REFERENCE.copy()
    broken[7, 3] = np.nan
    assert judge(tmp_path, native, broken, EXPECTED)["reason"].startswith(
        "some of its probabilities are not finite numbers"
    )


def test_the_gate_names_what_is_worse_once(tmp_path: Path) -> None:
    settings = params.load(ROOT / "params.yaml")
    native = {
        "format": "a",
        "runtime": "litert",
        "processor": "native",
        "state": WORSE,
        "reason": "9 lost",
    }
    emulated_pair = {**native, "processor": "haswell", "reason": "as on this processor: 9 lost"}
    other = {**emulated_pair, "format": "b", "reason": "its golden vectors differ"}
    reports = {
        "evaluate": {"gate": {"failures": []}},
        "export": {"formats": {}},
        "verify": {"pairs": [native, emulated_pair, other]},
        "embed": {"targets": []},
    }
    assert gates.failures(settings, reports) == [
        "a on litert is worse (9 lost)",
        "b on litert on haswell is worse (its golden vectors differ)",
    ]
