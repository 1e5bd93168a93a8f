"""The integer C on a Cortex-M0 with the memory of a real board, which QEMU emulates."""

from __future__ import annotations

import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks import cortex_m
from benchmarks.integer_c.oracle import Micro
from pipeline.architectures import tiny
from pipeline.config.params import Network
from pipeline.embedded import _integer_c
from pipeline.embedded._integer_c.network import read
from pipeline.files.artifacts import Inputs
from pipeline.formats import tflite_int8
from tests.test_backbones import settle

IMAGES = 50


@pytest.mark.filterwarnings("ignore:[^a-z]*Warning. tf.lite.Interpreter is deprecated")
def test_a_microbit_gives_the_outputs_of_micro_in_16_kilobytes_of_ram(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 28, 28, 1), np.uint8)
    model = tiny.build(Inputs((28, 28, 1)), 10, Network())
    settle(model, images)
    data = tflite_int8.convert(model, images)
    for name, text in _integer_c.translate(data, "tiny").files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "images.raw").write_bytes(images.tobytes())
    code = [cortex_m.HERE / "outputs.c", *sorted(tmp_path.rglob("*.c"))]
    firmware = tmp_path / "firmware.elf"
    # The linker refuses what does not fit beside 2,048 bytes of stack.
    cortex_m.link(code, [tmp_path], ["-mcpu=cortex-m0"], firmware, cortex_m.MICROBIT)
    assert cortex_m.run(firmware, cortex_m.MICROBIT) == []
    outputs = np.fromfile(tmp_path / "outputs.raw", np.int8).reshape(IMAGES, -1)
    output = read(data).output.index
    micro = Micro()
    expected = micro.tensors(data, images, [output])[output]
    micro.close()
    np.testing.assert_array_equal(outputs, expected.reshape(IMAGES, -1))
    assert len(np.unique(outputs, axis=0)) > IMAGES / 2
    # The processor is no M3 in disguise.
    cortex_m.link(code, [tmp_path], ["-mcpu=cortex-m3"], firmware, cortex_m.MICROBIT)
    with pytest.raises(subprocess.CalledProcessError):
        cortex_m.run(firmware, cortex_m.MICROBIT)
