"""CMSIS-NN beside our C in QEMU; where the environment's CMSIS_NN names a copy of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import kernels
from benchmarks.cortex_m import cmsis_nn
from benchmarks.cortex_m.cmsis_nn import Firmware
from tests.conftest import ROOT

CHECKOUT = Path(os.environ.get("CMSIS_NN", ""))
KINDS = 8  # of layers
needs_checkout = pytest.mark.skipif(
    not (CHECKOUT / "Include").is_dir(), reason="needs github.com/ARM-software/CMSIS-NN in CMSIS_NN"
)


def differing(firmware: Firmware) -> dict[str, int]:
    """How many bytes of random layers differ, by kind."""
    return {words[0]: int(words[3]) for words in kernels.of_random_layers(firmware)}


@needs_checkout
@pytest.mark.parametrize("processor", cmsis_nn.PROCESSORS)
def test_cmsis_nn_gives_the_bytes_of_our_c(processor: str) -> None:
    counts = differing(Firmware(CHECKOUT, processor))
    assert list(counts.values()) == [0] * KINDS, counts


@needs_checkout
def test_rounding_once_is_seen() -> None:
    counts = differing(Firmware(CHECKOUT, "cortex-m4", ("CMSIS_NN_USE_SINGLE_ROUNDING",)))
    assert {name for name, count in counts.items() if count} >= {"CONV_2D", "DEPTHWISE_CONV_2D"}


def test_another_folder_is_refused_in_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.cortex_m.cmsis_nn", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} is no copy of github.com/ARM-software/CMSIS-NN\n"
