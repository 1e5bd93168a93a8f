"""C text for models of sounds: the parameters and the tables of the front end."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from pipeline.bundle import golden_sounds
from pipeline.embedded._kinds import TEMPLATES, EmbeddedKind, bytes_of_an_image
from pipeline.files.artifacts import Array, Description
from serving import listening
from serving.listening import Listener
from serving.log_mel import LogMel

SOURCES = ("log_mel.c", "listen.c")
HEADERS = ("log_mel.h", "listen.h")
TABLES = "log_mel_tables.h"
FOLDER = TEMPLATES / "listening"
A_LINE = 12  # values
SENSOR = (
    "`examples/listen` is an Arduino sketch that hears words with an I2S microphone on an ESP32.\n"
    "It was tested on a PC, with a file in place of the microphone, and not on a board."
)
LISTENER_BYTES = 48  # of struct listener, beside its arrays


def front_end(data: Description) -> LogMel:
    assert data.sound is not None  # as the kind of input is sounds
    return LogMel(**data.sound)


def features(data: Description, recording: Array) -> Array:
    """What `serving` makes of samples (S,) int16: features (T, bands, 1) uint8."""
    result: Array = front_end(data).image(recording, data.input_shape[0])
    return result


def write(folder: Path, data: Description) -> None:
    """Writes the front end and the detector of words into the folder."""
    for name in (*SOURCES, *HEADERS):
        shutil.copy(FOLDER / name, folder / name)
    (folder / TABLES).write_text(tables(front_end(data)), encoding="utf-8")


def definitions(data: Description) -> str:
    """What model.h says of a model of sounds."""
    sound, frames = front_end(data), data.input_shape[0]
    listener = Listener.by_default(sound, frames)
    return (
        f"{bytes_of_an_image(data)}"
        f"#define MODEL_RATE {sound.rate} /* samples a second */\n"
        f"#define MODEL_WINDOW {sound.window} /* samples of a frame */\n"
        f"#define MODEL_HOP {sound.hop} /* samples from one frame to the next */\n"
        f"#define MODEL_SAMPLES {sound.samples(frames)} /* of one sound */\n"
        f"#define MODEL_LISTEN_HOP {listener.hop} /* frames */\n"
        f"#define MODEL_LISTEN_SMOOTHING {listener.smoothing} /* windows */\n"
        f"#define MODEL_LISTEN_THRESHOLD {listening.THRESHOLD:.8e}f\n"
    )


def readme_fields(data: Description) -> dict[str, str]:
    """The values in the READMEs; bytes of the front end on a 32-bit processor."""
    sound, frames, classes = front_end(data), data.input_shape[0], len(data.class_names)
    listener = Listener.by_default(sound, frames)
    bins = int(sound.weights.any(1).sum())
    arrays = 2 * frames * sound.bands + 2 * sound.window + (4 * listener.smoothing + 1) * classes
    return {
        "sensor": SENSOR,
        "rate": str(sound.rate),
        "samples": f"{sound.samples(frames):,}",
        "tables": f"{3 * bins + 6 * sound.window + 64:,}",
        "scratch": f"{4 * (sound.window + 1) + 8 * sound.bands:,}",
        "listener": f"{(arrays + LISTENER_BYTES) // 8 * 8 + 8:,}",
    }


def tables(sound: LogMel) -> str:
    """log_mel_tables.h: whole numbers, which serving/log_mel.py computes from the parameters."""
    used = np.flatnonzero(sound.weights.any(1))
    first, last = int(used[0]), int(used[-1])
    weights = [bin_weights(row) for row in sound.weights[first : last + 1]]
    cosines, sines = sound.waves
    return (
        "/* Generated from the parameters of the front end. */\n"
        "#ifndef LOG_MEL_TABLES_H\n"
        "#define LOG_MEL_TABLES_H\n\n"
        f"#define LOG_MEL_SHIFT {sound.shift} /* bits that an amplitude loses */\n"
        f"#define LOG_MEL_FIRST_BIN {first}\n"
        f"#define LOG_MEL_BINS {last - first + 1} /* that are in a band */\n\n"
        "/* The share of a bin in a band and in the next one, in 2**-7. */\n"
        "struct log_mel_weights {\n    uint8_t band, own, next;\n};\n\n"
        "static const struct log_mel_weights bin_weights[LOG_MEL_BINS] = {\n"
        f"{_lines([f'{{{band}, {own}, {following}}}' for band, own, following in weights])}}};\n\n"
        f"{table('int16_t hann', '[MODEL_WINDOW]', sound.hann)}"
        f"{table('int16_t cosines', '[MODEL_WINDOW]', cosines)}"
        f"{table('int16_t sines', '[MODEL_WINDOW]', sines)}"
        f"{table('uint8_t logarithms', '[64]', sound.logarithms)}"
        "#endif\n"
    )


def bin_weights(row: Array) -> tuple[int, int, int]:
    """The first band that a bin is in, and its shares in that and the next one."""
    band = int((row > 0).argmax())
    following = int(row[band + 1]) if band + 1 < len(row) else 0
    return band, int(row[band]), following


def table(name: str, length: str, values: Array) -> str:
    return f"static const {name}{length} = {{\n{_lines(list(map(str, values.tolist())))}}};\n\n"


def _lines(values: list[str]) -> str:
    starts = range(0, len(values), A_LINE)
    return "".join(f"    {', '.join(values[start : start + A_LINE])},\n" for start in starts)


def write_page(folder: Path, data: Description) -> None:
    write(folder, data)
    shutil.copy(TEMPLATES / "browser/hear.c", folder)


def recordings(data: Description) -> dict[str, tuple[Array, Array]]:
    """The golden recordings (S,) int16 that the page loads from the bundle, and their features."""
    mel = front_end(data)
    golden = golden_sounds.recordings(mel, mel.samples(data.input_shape[0]))
    return {name: (samples, features(data, samples)) for name, samples in golden.items()}


KIND = EmbeddedKind(
    one="a sound",
    several="sounds",
    values="bytes",
    definitions=definitions,
    readme_fields=readme_fields,
    write=write,
    program=("main.c", "sound.c"),
    preparation=SOURCES,
    sketch=FOLDER / "listen.ino",
    one_class_each=True,  # it hears words, each a class
    page=True,
    page_sources=("log_mel.c", "hear.c"),  # hear.c includes listen.c
    write_page=write_page,
    recordings=recordings,
)
