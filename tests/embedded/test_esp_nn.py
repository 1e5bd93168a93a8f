"""ESP-NN beside our C; where the environment's ESP_NN names a copy of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import esp_nn, kernels
from benchmarks.esp_nn import Build
from tests.conftest import ROOT

CHECKOUT = Path(os.environ.get("ESP_NN", ""))
KINDS = 9  # of layers
needs_checkout = pytest.mark.skipif(
    not (CHECKOUT / "include").is_dir(), reason="needs github.com/espressif/esp-nn in ESP_NN"
)


def differing(processor: str, name: str) -> dict[str, int]:
    """How many bytes of random layers differ, by kind."""
    if absent := esp_nn.missing(processor):
        pytest.skip(f"needs {' and '.join(absent)}")
    lines = kernels.of_random_layers(Build(CHECKOUT, processor, name))
    return {words[0]: int(words[3]) for words in lines}


@needs_checkout
@pytest.mark.parametrize("processor", esp_nn.PROCESSORS)
@pytest.mark.parametrize("name", ["optimized", "skip-nudge"])
def test_esp_nn_gives_the_bytes_of_our_c_but_for_1x1_in_groups(processor: str, name: str) -> None:
    counts = differing(processor, name)
    assert len(counts) == KINDS
    assert [kind for kind, count in counts.items() if count] == ["CONV_2D_1X1_IN_GROUPS"]


@needs_checkout
@pytest.mark.parametrize("processor", esp_nn.PROCESSORS)
def test_its_reference_kernels_give_the_bytes_of_our_c(processor: str) -> None:
    counts = differing(processor, "ansi")
    assert list(counts.values()) == [0] * KINDS, counts


def test_another_folder_is_refused_in_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.esp_nn", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} is no copy of github.com/espressif/esp-nn\n"
