"""Words in a stream: the detector, and the same features and words in Python and in C."""

from __future__ import annotations

import re
import struct
import subprocess
import tracemalloc
import wave
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bundle import golden_sounds
from pipeline.embedded import _zig, c
from pipeline.embedded._kinds import sounds
from pipeline.files.artifacts import Array, Description
from serving import sound
from serving.listening import Listener, Word, without
from serving.log_mel import LONGEST, LogMel
from serving.model_file import answers
from tests.test_log_mel import FRONT_ENDS

CLASSES = 3
ACCEPT_FROM = 0.4
FRAMES = 12
# Windows of an even and of an odd number of samples, frames with gaps between them, and few bins
CASES = [
    Listener(FRONT_ENDS[0], FRAMES, 3, 2, 0.5),
    Listener(FRONT_ENDS[1], FRAMES, 5, 1, 0.0),
    Listener(LogMel(rate=8000, window=201, hop=80, bands=20), FRAMES, 1, 3, 0.7),
    Listener(LogMel(rate=4000, window=64, hop=100, bands=5), FRAMES, 12, 4, 0.45),
    Listener(LogMel(rate=16000, window=512, hop=256, bands=64), 1, 1, 2, 0.5),
]
# Reads samples and the probabilities of each window; writes the features of each window, and the
# words as text to standard error. Pieces of the stream have 1 to `step` samples.
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include "listen.h"
static struct listener listener;
static void print(const struct listen_word *word)
{
    fprintf(stderr, "%lu %d %.9g\n", (unsigned long)word->start, word->class_number,
            (double)word->probability);
}
int main(int count, char **arguments)
{
    static int16_t samples[1 << 20];
    static uint8_t image[MODEL_PIXELS];
    FILE *sound = fopen(arguments[1], "rb"), *rows = fopen(arguments[2], "rb");
    size_t total = fread(samples, 2, 1 << 20, sound), at = 0, piece = 0;
    struct listen_word word;
    if (count > 3)
        listener.ignored[atoi(arguments[3])] = 1;
    while (at < total) {
        size_t wanted = piece++ * 37 % LISTEN_STEP + 1;
        at += listen_add(&listener, samples + at, wanted < total - at ? wanted : total - at);
        if (listener.is_due) {
            float probabilities[MODEL_CLASSES];
            if (fread(probabilities, sizeof(float), MODEL_CLASSES, rows) != MODEL_CLASSES)
                return 2;
            listen_image(&listener, image);
            fwrite(image, 1, MODEL_PIXELS, stdout);
            if (listen_hear(&listener, probabilities, &word))
                print(&word);
        }
    }
    if (listen_end(&listener, &word))
        print(&word);
    return 0;
}
"""
# Undefined behaviour ends the program. Its messages would need a library.
TRAPS = ("-fsanitize=undefined", "-fsanitize-trap=undefined")


def description(listener: Listener) -> Description:
    shape = (listener.frames, listener.front_end.bands, 1)
    names = [str(number) for number in range(CLASSES)]
    return Description("x", names, shape, {}, [], "sounds", sound=asdict(listener.front_end))


def write_sources(folder: Path, listener: Listener) -> None:
    """The C of the front end and of the detector, and a program that tests them."""
    data = description(listener)
    height, width, _ = data.input_shape
    sounds.write(folder, data)
    (folder / "model.h").write_text(
        f"#define MODEL_HEIGHT {height}\n#define MODEL_WIDTH {width}\n"
        f"#define MODEL_PIXELS {height * width}\n#define MODEL_CLASSES {CLASSES}\n"
        f"#define MODEL_ACCEPT_FROM {ACCEPT_FROM}f\n"
        f"#define LISTEN_HOP {listener.hop}\n#define LISTEN_SMOOTHING {listener.smoothing}\n"
        f"#define LISTEN_THRESHOLD {listener.threshold}f\n{sounds.definitions(data)}"
    )
    (folder / "test.c").write_text(PROGRAM)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    @cache
    def program(number: int) -> Path:
        folder = tmp_path_factory.mktemp("listen")
        write_sources(folder, CASES[number])
        sources = ["test.c", *sounds.SOURCES]
        target = ("-target", _zig.PROGRAMS[c.HERE], *_zig.C99, *TRAPS)
        _zig.build(folder, sources, folder / "test", *target)
        return folder / "test"

    return program


def in_c(program: Path, samples: Array, rows: Array, *ignored: int) -> tuple[bytes, list[Word]]:
    """The features of all windows, and the words."""
    sound_file, rows_file = program.parent / "samples", program.parent / "rows"
    sound_file.write_bytes(samples.astype("<i2").tobytes())
    rows_file.write_bytes(rows.astype("<f4").tobytes())
    command: list[str | Path] = [program, sound_file, rows_file, *map(str, ignored)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done
    words = [line.split() for line in done.stderr.decode().splitlines()]
    return done.stdout, [
        Word(int(at), int(number), float(np.float32(p))) for at, number, p in words
    ]


def in_python(
    listener: Listener, samples: Array, rows: Array, *ignored: int
) -> tuple[bytes, list[Word]]:
    features: list[bytes] = []

    def predict(images: Array) -> Array:
        features.append(images.tobytes())
        row: Array = rows[len(features) - 1][None]
        return row

    words_only = without(ignored, lambda mean: answers(mean, ACCEPT_FROM))
    words = list(listener.words([samples], predict, words_only))
    return b"".join(features), words


def whole_windows(listener: Listener, samples: Array) -> Array:
    """The samples up to the end of the last whole window: nothing is padded in C."""
    count = listener.front_end.samples(listener.frames)
    windows = max((len(samples) - count) // listener.step, 0) + 1
    whole = np.zeros(count + (windows - 1) * listener.step, np.int16)
    whole[: len(samples)] = samples[: len(whole)]
    return whole


def rows_of(samples: Array, seed: int) -> Array:
    """Probabilities (N, 3) float32 as of int8 files, in 256ths; more than there are windows."""
    dice = np.random.default_rng(seed)
    rows = dice.dirichlet([0.4] * CLASSES, len(samples) // 64 + 2)
    return (np.floor(rows * 256) / 256).astype(np.float32)


def recordings(listener: Listener) -> dict[str, Array]:
    """The golden recordings, and the extremes, each as long as some windows."""
    count = listener.front_end.samples(listener.frames)
    dice, length = np.random.default_rng(0), count + 40 * listener.step
    return {
        **golden_sounds.recordings(listener.front_end, count),
        "lowest": np.full(length, -(2**15), np.int16),
        "highest": np.full(length, 2**15 - 1, np.int16),
        "signs": dice.choice([-(2**15), 2**15 - 1], length).astype(np.int16),
        "one bit": dice.integers(-1, 2, length).astype(np.int16),
        "silence": np.zeros(length, np.int16),
        # The Hann window is off by one there between its halves, which changes some energies
        "quarters": impulses(listener.front_end.window, length),
    }


def impulses(window: int, length: int) -> Array:
    """One in a frame, of all sizes, three quarters after its beginning."""
    samples = np.zeros(length, np.int16)
    places = np.arange(3 * window // 4, length, window)
    samples[places] = np.random.default_rng(0).integers(-(2**15), 2**15, len(places))
    return samples


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_golden_recording_and_extreme_has_the_same_features_and_words_in_c(
    programs: Any, number: int
) -> None:
    for name, samples in recordings(CASES[number]).items():
        whole = whole_windows(CASES[number], samples)
        rows = rows_of(whole, number)
        expected = in_python(CASES[number], whole, rows)
        assert in_c(programs(number), whole, rows) == expected, name
        assert expected[0]


@pytest.mark.slow
@settings(max_examples=40)
@given(
    number=st.sampled_from(range(len(CASES))),
    seed=st.integers(0, 2**32 - 1),
    windows=st.integers(0, 9),
    loudness=st.integers(0, 15),
    ignored=st.lists(st.integers(0, CLASSES - 1), max_size=1),
)
def test_any_stream_has_the_same_features_and_words_in_c(
    programs: Any, *, number: int, seed: int, windows: int, loudness: int, ignored: list[int]
) -> None:
    listener = CASES[number]
    count = listener.front_end.samples(listener.frames) + windows * listener.step
    dice = np.random.default_rng(seed)
    samples = (dice.integers(-(2**15), 2**15, count) >> loudness).astype(np.int16)
    rows = rows_of(samples, seed)
    expected = in_python(listener, samples, rows, *ignored)
    assert in_c(programs(number), samples, rows, *ignored) == expected


@pytest.mark.slow
def test_the_tables_of_every_front_end_are_those_of_python() -> None:
    """C adds and subtracts samples that lie symmetrically, and a bin is in two bands at most."""
    for window in range(3, LONGEST + 1):
        front_end = LogMel(rate=8000, window=window, hop=1, bands=1)
        cosines, sines = front_end.waves
        assert np.array_equal(cosines[1:], cosines[:0:-1])
        assert np.array_equal(sines[1:], -sines[:0:-1])
    for front_end in (case.front_end for case in CASES):
        pairs = [sounds.bin_weights(row) for row in front_end.weights]
        rebuilt = np.zeros_like(front_end.weights)
        for row, (band, own, following) in zip(rebuilt, pairs, strict=True):
            row[band] = own
            row[band + 1 : band + 2] = following
        assert np.array_equal(rebuilt, front_end.weights)


@pytest.mark.slow
def test_the_front_end_needs_no_floating_point_and_no_library(tmp_path: Path) -> None:
    """As an object for a Cortex-M0, which calls a function for each operation that it lacks."""
    write_sources(tmp_path, CASES[0])
    chip = ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0", "-ffreestanding")
    called = {}
    for name in sounds.SOURCES:
        _zig.build(tmp_path, [name], tmp_path / f"{name}.o", "-c", "-std=c99", "-Os", *chip)
        content = (tmp_path / f"{name}.o").read_bytes()
        called[name] = set(re.findall(rb"__aeabi_\w+|mem\w+|malloc", content))
    assert b"__aeabi_fadd" in called["listen.c"], "which adds probabilities"
    unwinding = {name for name in called["log_mel.c"] if b"unwind" in name}
    assert called["log_mel.c"] - unwinding <= {b"__aeabi_lmul", b"__aeabi_llsl", b"__aeabi_llsr"}


def found(listener: Listener, rows: Sequence[Sequence[float]]) -> list[tuple[float, int]]:
    """Window and class of the words in windows with these probabilities."""
    silence = np.zeros(
        listener.front_end.samples(listener.frames) + (len(rows) - 1) * listener.step, np.int16
    )
    words = in_python(listener, silence, np.array(rows, np.float32))[1]
    return [(word.start / listener.step, word.number) for word in words]


LOW, HIGH, HIGHER, OTHER = [0.3, 0.3, 0.4], [0.8, 0.1, 0.1], [0.9, 0.0, 0.1], [0.0, 0.85, 0.15]


def test_of_windows_within_one_length_the_most_probable_is_the_word() -> None:
    plain = Listener(LogMel(), 61, 15, smoothing=1)
    assert plain.repeats == 5
    assert found(plain, [HIGH, HIGHER, HIGH, LOW, LOW]) == [(1, 0)]
    assert found(plain, [HIGH, OTHER, HIGH, LOW]) == [(1, 1)]
    assert found(plain, [HIGH, *[LOW] * 4, HIGH]) == [(0, 0), (5, 0)]
    assert found(plain, [HIGH, *[LOW] * 3, HIGH]) == [(0, 0)]
    assert found(plain, [HIGH] * 11) == [(0, 0), (5, 0), (10, 0)]


def test_a_word_needs_the_threshold_of_the_card_and_that_of_the_listener() -> None:
    assert found(Listener(LogMel(), 61, 15, 1, threshold=0.3), [LOW]) == [(0, 2)]
    assert found(Listener(LogMel(), 61, 15, 1, threshold=0.3), [[0.39, 0.3, 0.31]]) == []
    assert found(Listener(LogMel(), 61, 15, 1, threshold=0.81), [HIGH, OTHER]) == [(1, 1)]
    assert found(Listener(LogMel(), 61, 15, 1, threshold=0.8), [HIGH]) == [(0, 0)]


def test_one_window_alone_is_no_word_if_the_mean_of_several_counts() -> None:
    smooth = Listener(LogMel(), 61, 15, smoothing=2, threshold=0.7)
    assert found(smooth, [LOW, HIGHER, LOW]) == []
    assert found(smooth, [LOW, HIGH, HIGHER, LOW]) == [(1.5, 0)]
    assert found(smooth, [HIGHER, LOW]) == [(0, 0)], "the first window has none before it"


@pytest.mark.parametrize("length", [1, 7999, 8000, 8001, 9919, 9921, 20_000])
def test_every_sample_is_in_a_window_however_the_stream_is_cut(length: int) -> None:
    listener = Listener.by_default(LogMel(), 61)
    samples = np.random.default_rng(length).integers(1, 2**15, length).astype(np.int16)

    def pieces(size: int) -> Iterator[Array]:
        return (samples[start : start + size] for start in range(0, length, size))

    windows = list(listener.windows(pieces(length)))
    assert {len(window) for window in windows} == {7936}
    joined = np.concatenate([windows[0], *(window[-listener.step :] for window in windows[1:])])
    assert np.array_equal(joined[:length], samples)
    assert not joined[length:].any()
    assert len(joined) - length < max(listener.step, 7936 - length + 1)
    for size in (1, 100, 3000) if length < 10_000 else (3000,):
        assert all(map(np.array_equal, windows, listener.windows(pieces(size))))


def test_a_recording_of_one_word_has_the_features_that_predict_gives_it() -> None:
    listener = Listener.by_default(LogMel(), 61)
    word = np.random.default_rng(0).integers(-999, 999, 3000).astype(np.int16)
    (window,) = listener.windows([word])
    expected = sound.features(LogMel(), word, 7936)[..., 0]
    assert np.array_equal(LogMel().features(window), expected)


@pytest.mark.slow
def test_ten_hours_take_no_more_memory_than_a_second(tmp_path: Path) -> None:
    listener = Listener(LogMel(), 61, hop=61)
    seconds = 36_000
    with wave.open(str(tmp_path / "long.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 8000 * seconds, "NONE", ""))
        file.writeframesraw(b"\1\0" * 8000)
    with (tmp_path / "long.wav").open("r+b") as raw:
        for place, size in ((4, 36 + 16_000 * seconds), (40, 16_000 * seconds)):
            raw.seek(place)
            raw.write(struct.pack("<I", size))
        raw.truncate(44 + 16_000 * seconds)  # the file system stores no zeros
    tracemalloc.start()
    blocks = sound.blocks(tmp_path / "long.wav", "long.wav", 8000, listener.step)
    windows = sum(1 for _ in listener.windows(blocks))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert windows == -(-(8000 * seconds - 7936) // listener.step) + 1
    assert peak < 500_000
