"""C text for models of measurements: the windows, and what the channels are."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.embedded import _c_names
from pipeline.embedded._kinds import TEMPLATES, EmbeddedKind
from pipeline.files.artifacts import Description
from serving.recording import Sampling

SOURCES = ("window.c",)
FOLDER = TEMPLATES / "sensing"
SENSOR = (
    "`examples/sense` is an Arduino sketch that reads an MPU-6050, an accelerometer and gyroscope\n"
    "on I2C, for models of six channels. It was tested on a PC, with a file in place of\n"
    "the sensor, and not on a board."
)
UNKNOWN = " /* not known: a second is a row */"


def sampling(data: Description) -> Sampling:
    """How a window is cut; where the data do not say it, as in an npz, one follows the other."""
    steps, channels = data.input_shape
    if data.series is None:
        return Sampling(1.0, steps, tuple(str(number + 1) for number in range(channels)))
    return Sampling(data.series["rate"], data.series["step"], tuple(data.series["channels"]))


def write(folder: Path, data: Description) -> None:
    """Writes the ring of rows into the folder."""
    for name in (*SOURCES, "window.h"):
        shutil.copy(FOLDER / name, folder / name)


def definitions(data: Description) -> str:
    """What model.h says of a model of measurements."""
    steps, channels = data.input_shape
    how = sampling(data)
    names = ", ".join(map(_c_names.quoted, how.channels))
    return (
        f"#define MODEL_STEPS {steps} /* rows of a window */\n"
        f"#define MODEL_CHANNELS {channels} /* values of a row */\n"
        f"#define MODEL_CHANNEL_NAMES {{{names}}}\n"
        "#define MODEL_PIXELS (MODEL_STEPS * MODEL_CHANNELS) /* values of a window */\n"
        "#define MODEL_VALUE float\n"
        "#define MODEL_VALUE_TYPE kTfLiteFloat32\n"
        f"#define MODEL_RATE {how.rate:.8e}f{UNKNOWN if data.series is None else ' /* Hz */'}\n"
        f"#define MODEL_STEP {how.step} /* rows from one window to the next */\n"
    )


def readme_fields(data: Description) -> dict[str, str]:
    """The values in the READMEs."""
    steps, channels = data.input_shape
    how = sampling(data)
    return {
        "sensor": SENSOR,
        "steps": str(steps),
        "channels": ", ".join(how.channels),
        "rate": f"{how.rate:g}",
        "step": str(how.step),
        "ring": f"{4 * steps * channels + 8:,}",
        "window": f"{4 * steps * channels:,}",
    }


KIND = EmbeddedKind(
    one="a window",
    several="windows",
    values="floats",
    definitions=definitions,
    readme_fields=readme_fields,
    write=write,
    program=("main.c",),
    preparation=SOURCES,
    sketch=FOLDER / "sense.ino",
)
