"""The sketch that listens with a microphone, with a file in place of the microphone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.embedded._kinds import sounds
from tests.embedded.conftest import run
from tests.embedded.test_integer_c import SANITIZERS
from tests.listening.conftest import CASES, in_python, rows_of, write_sources

# The board of the sketch: its microphone is standard input. The network's answers are in a file.
BOARD = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
enum { I2S_MODE_STD, I2S_DATA_BIT_WIDTH_16BIT, I2S_SLOT_MODE_MONO };
struct I2SClass {
    void setPins(int, int, int, int) {}
    bool begin(int, uint32_t rate, int, int) { return rate == MODEL_RATE; }
    size_t readBytes(char *bytes, size_t count)
    {
        const size_t length = fread(bytes, 1, count, stdin);
        if (length == 0)
            exit(0);
        return length;
    }
};
static struct {
    void begin(int) {}
    void println(const char *text) { puts(text); }
} Serial;
"""
CLASSIFY = r"""
#define MODEL_CLASS_NAMES {"yes", "no", "stop"}
static bool classify(const uint8_t *, float *probabilities)
{
    static FILE *rows = fopen("rows", "rb");
    return fread(probabilities, sizeof(float), MODEL_CLASSES, rows) == MODEL_CLASSES;
}
void setup();
void loop();
int main()
{
    setup();
    for (;;)
        loop();
}
"""


# TensorFlow Lite Micro's says whether it ran; that of the integer C gives the class, here 0.
CLASSIFIERS = {
    "micro": CLASSIFY,
    "c": CLASSIFY.replace("static bool", "#define NETWORK_H\nstatic int").replace("==", "!="),
}


@pytest.mark.parametrize("library", CLASSIFIERS)
def test_the_sketch_prints_the_words_that_a_microphone_hears(tmp_path: Path, library: str) -> None:
    listener = CASES[0]
    write_sources(tmp_path, listener)
    (tmp_path / "ESP_I2S.h").write_text(f'#include "model.h"\n{BOARD}')
    (tmp_path / "classify.h").write_text(CLASSIFIERS[library])
    (tmp_path / "sketch.cpp").write_bytes((sounds.FOLDER / "listen.ino").read_bytes())
    sources = [tmp_path / name for name in sounds.SOURCES]
    for source in sources:
        run("gcc", *SANITIZERS, "-std=c99", "-c", source, "-o", source.with_suffix(".o"))
    objects = [source.with_suffix(".o") for source in sources]
    program = tmp_path / "sketch"
    run(
        "g++",
        *SANITIZERS,
        "-Wall",
        "-I",
        tmp_path,
        tmp_path / "sketch.cpp",
        *objects,
        "-o",
        program,
    )
    count = listener.front_end.samples(listener.frames) + 30 * listener.step
    samples = np.random.default_rng(0).integers(-999, 999, count).astype(np.int16)
    rows = rows_of(samples, 0)
    (tmp_path / "rows").write_bytes(rows.astype("<f4").tobytes())
    sound = samples.astype("<i2").tobytes()
    done = subprocess.run([program], cwd=tmp_path, input=sound, capture_output=True, check=True)
    words = [("yes", "no", "stop")[word.number] for word in in_python(listener, samples, rows)[1]]
    printed = done.stdout.decode().split()
    assert printed == words[: len(printed)]
    assert len(printed) >= len(words) - 1 > 2  # the last one has not ended
