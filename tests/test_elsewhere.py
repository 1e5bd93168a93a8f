"""The verdict on emulated processors: by the golden vectors and a sample, beside what was found here."""

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
HERE = "1 of 56 images lost, 0 gained: no significant loss, but so few images show little"


def pair(processor: str, folder: Path, **facts: Any) -> Pair:
    file = folder / "tflite_int8.tflite"
    file.write_bytes(b"file")
    result = Pair("tflite_int8", file, "litert", processor)
    result.facts |= {"requirements": {"weights": ["int8"]}, **facts}
    return result


def judged(folder: Path, here: str, told: Array, golden: Array) -> dict[str, Any]:
    """The facts of a file that is `here` on this processor and answered so on another."""
    settings = params.load(ROOT / "params.yaml")
    rows = np.arange(IMAGES)
    material = Material(LABELS, REFERENCE, IMAGES, rows, np.zeros(0), IMAGES, [], folder)
    vectors = Golden(np.zeros(TELLING), np.zeros(TELLING), {"tflite_int8": EXPECTED}, spread=0)
    native = pair("native", folder, state=here, reason=HERE)
    native.probabilities = REFERENCE
    there = pair("haswell", folder)
    there.probabilities = np.concatenate([golden, told])
    emulated.judge(there, material, settings, vectors, verify.native_counterpart(there, [native]))
    return there.facts


def wrong(count: int) -> Array:
    """Answers of which the first `count` are of another class."""
    return np.concatenate([np.roll(REFERENCE[:count], 1, axis=1), REFERENCE[count:]])


@pytest.mark.parametrize("here", [PROVEN, NOT_SHOWN, WORSE])
def test_a_file_that_answers_alike_is_there_what_it_is_here(here: str, tmp_path: Path) -> None:
    for lost in (0, 1):
        facts = judged(tmp_path, here, wrong(lost), EXPECTED + np.float32(0.01))
        assert facts["state"] == here
        assert facts.get("reason") == (None if here == PROVEN else f"as on this processor: {HERE}")
        assert "images_needed" not in facts


@pytest.mark.parametrize("here", [PROVEN, NOT_SHOWN])
def test_golden_vectors_that_differ_or_lost_images_make_it_worse(here: str, tmp_path: Path) -> None:
    facts = judged(tmp_path, here, REFERENCE, EXPECTED - np.float32(0.2))
    assert facts["state"] == WORSE
    assert facts["reason"].startswith(
        "it answers golden vectors otherwise than on this processor, by up to 0.2 where 0.08 is"
    )
    facts = judged(tmp_path, here, wrong(76), EXPECTED)
    assert facts["state"] == WORSE
    assert facts["reason"].startswith(
        "76 of 100 images lost, 0 gained: beyond chance more than the 0.2 % allowed; take this"
    )
    broken = REFERENCE.copy()
    broken[7, 3] = np.nan
    assert judged(tmp_path, here, broken, EXPECTED)["reason"].startswith(
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
    there = {**native, "processor": "haswell", "reason": "as on this processor: 9 lost"}
    other = {**there, "format": "b", "reason": "it answers golden vectors otherwise"}
    reports = {
        "evaluate": {"gate": {"failures": []}},
        "export": {"formats": {}},
        "verify": {"pairs": [native, there, other]},
        "embed": {"targets": []},
    }
    assert gates.failures(settings, reports) == [
        "a on litert is worse (9 lost)",
        "b on litert on haswell is worse (it answers golden vectors otherwise)",
    ]
