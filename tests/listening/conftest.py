"""Listeners, and what they hear in a stream: in Python and in C."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.embedded import _zig, c
from pipeline.embedded._kinds import sounds
from pipeline.files.artifacts import Array, Description
from serving.listening import Listener, Word, without
from serving.log_mel import LogMel
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


@pytest.fixture(scope="session")
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


def rows_of(samples: Array, seed: int) -> Array:
    """Probabilities (N, 3) float32 as of int8 files, in 256ths; more than there are windows."""
    dice = np.random.default_rng(seed)
    rows = dice.dirichlet([0.4] * CLASSES, len(samples) // 64 + 2)
    return (np.floor(rows * 256) / 256).astype(np.float32)
