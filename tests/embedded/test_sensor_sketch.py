"""The sketch that classifies motion, with a file in place of the sensor on I2C."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.embedded import _answer_text
from pipeline.embedded._kinds import series
from pipeline.files.artifacts import Description
from tests.embedded.conftest import run
from tests.embedded.test_integer_c import SANITIZERS

STEPS, STEP, CLASSES = 20, 5, ("rest", "walk")
# The registers of the MPU-6050, whose values are standard input. A row that begins with 7FFF is one
# that the sensor does not give.
BOARD = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
static unsigned long now;
static unsigned long micros() { return now += 1000; }
struct WireClass {
    uint8_t sent[2], row[14];
    int count, at;
    void begin() {}
    void setClock(long) {}
    void beginTransmission(int address) { count = address == 0x68 ? 0 : 9; }
    void write(uint8_t byte) { sent[count++] = byte; }
    int endTransmission(bool stop = true)
    {
        if (count == 2)
            printf("%02x=%02x\n", sent[0], sent[1]);
        return stop ? 0 : sent[0] != 0x3B;
    }
    int requestFrom(int, int wanted)
    {
        at = 0;
        if (fread(row, 1, sizeof row, stdin) != sizeof row)
            exit(0);
        return row[0] == 0x7F && row[1] == 0xFF ? 0 : wanted;
    }
    int read() { return row[at++]; }
};
static WireClass Wire;
static struct {
    void begin(int) {}
    void println(const char *text) { puts(text); }
} Serial;
"""
# What the sketch hands to the model is written to a file; its answer is whether ax begins positive.
CLASSIFY = r"""
#define MODEL_CLASS_NAMES {"rest", "walk"}
#define MODEL_CLASSES 2
#define MODEL_ACCEPT_FROM 0.0f
#define MODEL_WORDS 40
#include "answer.h"
static bool classify(const float *values, float *probabilities)
{
    static FILE *windows = fopen("windows", "wb");
    fwrite(values, sizeof(float), MODEL_PIXELS, windows);
    fflush(windows);
    probabilities[0] = values[0] > 0 ? 0.25f : 0.75f;
    probabilities[1] = 1 - probabilities[0];
    return true;
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
    "c": CLASSIFY.replace("static bool", "#define NETWORK_H\nstatic int").replace("true", "0"),
}


@pytest.mark.parametrize("library", CLASSIFIERS)
def test_the_sketch_classifies_the_windows_that_a_sensor_gives(
    tmp_path: Path, library: str
) -> None:
    channels = ("ax", "ay", "az", "wx", "wy", "wz")
    how = {"rate": 50, "step": STEP, "channels": channels}
    data = Description("x", [*CLASSES], (STEPS, 6), {}, [], "series", series=how)
    (tmp_path / "model.h").write_text(
        f"#ifndef MODEL_H\n#define MODEL_H\n{series.definitions(data)}#endif\n"
    )
    series.write(tmp_path, data)
    shutil.copy(_answer_text.TEMPLATES / "classes.h", tmp_path / "answer.h")
    (tmp_path / "Wire.h").write_text(BOARD)
    (tmp_path / "classify.h").write_text(f'#include "model.h"\n{CLASSIFIERS[library]}')
    sketch = (series.FOLDER / "sense.ino").read_bytes()
    (tmp_path / "sketch.cpp").write_bytes(sketch)
    run("gcc", *SANITIZERS, "-std=c99", "-c", tmp_path / "window.c", "-o", tmp_path / "window.o")
    options = ("-Wall", "-I", tmp_path, tmp_path / "sketch.cpp", tmp_path / "window.o")
    run("g++", *SANITIZERS, *options, "-o", tmp_path / "sketch")
    counts = np.random.default_rng(0).integers(-9999, 9999, (60, 7)).astype(np.int16)
    counts[30, 0] = 0x7FFF
    done = subprocess.run(
        [tmp_path / "sketch"],
        cwd=tmp_path,
        input=counts.astype(">i2").tobytes(),
        capture_output=True,
        check=True,
    )
    lines = done.stdout.decode().split()
    assert lines[:3] == ["6b=00", "1b=18", "1c=10"]
    units = np.array([1 / 4096] * 3 + [np.pi / 180 / 16.4] * 3)
    rows = np.delete(counts, 3, axis=1) * units
    starts = [0, 5, 10, 31, 36]
    expected = np.array([rows[start : start + STEPS] for start in starts])
    windows = np.frombuffer((tmp_path / "windows").read_bytes(), np.float32).reshape(-1, STEPS, 6)
    np.testing.assert_allclose(windows, expected, rtol=1e-6)
    assert lines[3:] == [CLASSES[int(rows[start, 0] > 0)] for start in starts]
