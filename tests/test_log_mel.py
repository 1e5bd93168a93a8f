"""The front end for sounds: Python, C and JavaScript agree to the bit."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from pipeline.datasets import _log_mel
from pipeline.datasets._log_mel import LogMel
from pipeline.embedded import _log_mel as generated
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError

# Features of the golden sounds, one after the other
GOLDEN = "4389b38468f29a67656a5c0f3758c3d8696c6a1a4bb195e46720b1215488fe87"
# Steps of 0.376 dB, for energies of at least LOUD: what is quieter loses its last bits
BOUND, LOUD = 2, 170
FSDD = Path(os.environ.get("DATA_MIRROR", "")) / "fsdd.zip"
MAIN = """
#include <stdio.h>
#include "log_mel.h"
int main(void) {
    static int16_t samples[1 << 16];
    uint8_t features[LOG_MEL_BANDS];
    log_mel_state state;
    size_t count = fread(samples, sizeof *samples, 1 << 16, stdin), start;
    log_mel_init(&state);
    for (start = 0; start + LOG_MEL_WINDOW <= count; start += LOG_MEL_HOP) {
        log_mel_frame(&state, samples + start, features);
        fwrite(features, 1, sizeof features, stdout);
    }
    return 0;
}
"""
SCRIPT = """
import { readFileSync, writeSync } from "node:fs";
import { features } from "./log_mel.mjs";
const data = readFileSync(process.argv[2]);
const samples = new Int16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length));
for (const frame of features(samples)) writeSync(1, frame);
"""
FRONT_ENDS = [
    LogMel(),
    LogMel(rate=16000, window=480, hop=160, bands=40, high=7500, decay=3),
    LogMel(window=200, hop=80, bands=20, decay=0, quietest=0),
]


def sounds() -> dict[str, Array]:
    """Golden sounds of integers: the extremes, noise from 1 bit to 16, and a voice-like buzz."""
    random = np.random.default_rng(0)
    time = np.arange(8000)
    pulses = np.where(time % 73 == 0, 20000, 0) * (time % 4000) // 4000
    return {
        "silence": np.zeros(2000, np.int16),
        "lowest": np.full(2000, -(2**15), np.int16),
        "highest": np.full(2000, 2**15 - 1, np.int16),
        "square": np.where(time // 16 % 2, 2**15 - 1, -(2**15)).astype(np.int16),
        "pulses": pulses.astype(np.int16),
        "fading": (random.integers(-(2**15), 2**15, 8000) >> time // 500).astype(np.int16),
        "one window": random.integers(-100, 100, 512).astype(np.int16),
        "too short": random.integers(-100, 100, 100).astype(np.int16),
    }


def test_features_of_golden_sounds_are_always_the_same() -> None:
    features = b"".join(LogMel().features(sound).tobytes() for sound in sounds().values())
    assert hashlib.sha256(features).hexdigest() == GOLDEN


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=["8 kHz", "16 kHz", "no decay"])
def test_c_gives_the_features_of_python_to_the_bit(front_end: LogMel, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or pytest.skip("needs a C compiler")
    generated.write(tmp_path, front_end)
    (tmp_path / "main.c").write_text(MAIN, encoding="utf-8")
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined"]
    flags.append("-fno-sanitize-recover=all")
    subprocess.run(
        [compiler, *flags, "-o", "features", "main.c", "log_mel.c"], cwd=tmp_path, check=True
    )
    for name, sound in sounds().items():
        output = subprocess.run(
            [tmp_path / "features"], input=sound.tobytes(), capture_output=True, check=True
        ).stdout
        expected = front_end.features(sound)
        assert output == expected.tobytes(), name
        assert len(expected) == max((len(sound) - front_end.window) // front_end.hop + 1, 0), name


def test_javascript_gives_the_features_of_python_to_the_bit(tmp_path: Path) -> None:
    node = shutil.which("node") or pytest.skip("needs Node.js")
    (tmp_path / "main.mjs").write_text(SCRIPT, encoding="utf-8")
    sound = np.concatenate(list(sounds().values()))
    (tmp_path / "sound").write_bytes(sound.tobytes())
    for front_end in FRONT_ENDS:
        generated.write_script(tmp_path, front_end)
        command = [node, "main.mjs", "sound"]
        output = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
        assert output == front_end.features(sound).tobytes()


def reference(front_end: LogMel, sound: Array) -> Array:
    """The same in float64 by an FFT, without any rounding or table: steps (T, bands)."""
    angles = 2 * np.pi * np.arange(front_end.window) / front_end.window
    frames = np.lib.stride_tricks.sliding_window_view(sound, front_end.window)[:: front_end.hop]
    spectrum = np.fft.rfft(frames * (0.5 - 0.5 * np.cos(angles)))
    low, high = 1127 * np.log1p(np.array([front_end.low, front_end.high]) / 700)
    edges = np.linspace(low, high, front_end.bands + 2)
    edges = 700 * np.expm1(edges / 1127)
    bins = np.fft.rfftfreq(front_end.window, 1 / front_end.rate)
    triangles = [np.interp(bins, edges[at : at + 3], [0, 1, 0]) for at in range(front_end.bands)]
    energies = np.square(np.abs(spectrum)) @ np.transpose(triangles)
    units = 2 * (_log_mel.WINDOW_BITS + _log_mel.WAVE_BITS - front_end.shift)
    steps: Array = 8 * (np.log2(np.maximum(energies, 1e-9)) + units + _log_mel.WEIGHT_BITS)
    return steps


def largest_difference(front_end: LogMel, sound: Array) -> float:
    expected = reference(front_end, sound)
    differences = np.abs(front_end.energies(sound) - expected)
    return float(differences[expected >= LOUD].max(initial=0))


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=["8 kHz", "16 kHz", "no decay"])
@pytest.mark.parametrize("name", ["pulses", "fading", "one window"])
def test_features_of_golden_sounds_are_near_a_float_reference(front_end: LogMel, name: str) -> None:
    assert 0 < largest_difference(front_end, sounds()[name]) <= BOUND


@pytest.mark.skipif(not FSDD.is_file(), reason="needs fsdd.zip in DATA_MIRROR")
def test_features_of_speech_are_near_a_float_reference_but_for_narrow_bands() -> None:
    with zipfile.ZipFile(FSDD) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".wav"))[::25]
        recordings = [wavfile.read(io.BytesIO(archive.read(name)))[1] for name in names]
    for front_end in FRONT_ENDS[:2]:
        assert max(largest_difference(front_end, sound) for sound in recordings) <= BOUND
    # The docstring of the module warns of these
    assert max(largest_difference(FRONT_ENDS[2], sound) for sound in recordings) > BOUND


def test_what_is_twice_as_loud_has_the_same_features_within_a_step() -> None:
    sound = np.random.default_rng(0).integers(-8000, 8000, 8000).astype(np.int16)
    quiet, loud = (LogMel().features(part).astype(int) for part in (sound, 2 * sound))
    assert np.abs(quiet - loud).max() <= 1


def test_a_stream_never_waits_for_what_follows() -> None:
    sound = sounds()["fading"]
    features = LogMel().features(sound)
    assert np.array_equal(LogMel().features(sound[:3000]), features[:22])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 513}, "window is 513 samples; expected 2 to 512"),
        ({"hop": 0}, "hop is 0 and bands 32; expected at least 1 each"),
        ({"high": 4001}, "high at most half the rate"),
        ({"rate": 0}, "bands from 60 to 3800 Hz at a rate of 0 Hz"),
        ({"bands": 200}, "200 bands are too narrow for a window of 256 samples"),
    ],
)
def test_parameters_without_features_are_refused_in_a_sentence(
    change: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        LogMel(**change)


def test_sounds_that_are_not_int16_are_refused() -> None:
    with pytest.raises(UserError, match="sound is float64 of shape"):
        LogMel().features(np.zeros(300))
