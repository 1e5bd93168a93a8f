"""The front end for sounds in C and JavaScript, equal to Python's to the bit, and its tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pipeline.datasets import _log_mel
from pipeline.datasets._log_mel import LogMel
from pipeline.files.artifacts import Array

SOURCES = Path(__file__).parent / "_log_mel_c"
SCRIPT = Path(__file__).parent / "_log_mel_js" / "log_mel.mjs"


def write(folder: Path, front_end: LogMel) -> None:
    """log_mel.h and log_mel.c, and log_mel_tables.h for these parameters."""
    for source in sorted(SOURCES.iterdir()):
        shutil.copyfile(source, folder / source.name)
    (folder / "log_mel_tables.h").write_text(tables(front_end), encoding="utf-8")


def write_script(folder: Path, front_end: LogMel) -> None:
    """log_mel.mjs, and log_mel_tables.mjs for these parameters."""
    shutil.copyfile(SCRIPT, folder / SCRIPT.name)
    values = {
        "hop": front_end.hop,
        "shift": front_end.shift,
        "steps": _log_mel.STEPS,
        "mantissaBits": _log_mel.MANTISSA_BITS,
        "highest": _log_mel.HIGHEST,
        "decay": front_end.decay,
        "quietest": front_end.quietest,
        "window": front_end.hann.tolist(),
        "cosine": front_end.wave.tolist(),
        "sine": front_end.sine.tolist(),
        "weights": front_end.weights.tolist(),
        "logarithms": front_end.logarithms.tolist(),
    }
    text = f"export default {json.dumps(values)};\n"
    (folder / "log_mel_tables.mjs").write_text(text, encoding="utf-8")


def tables(front_end: LogMel) -> str:
    constants = {
        "WINDOW": front_end.window,
        "HOP": front_end.hop,
        "BINS": len(front_end.weights),
        "BANDS": front_end.bands,
        "SHIFT": front_end.shift,
        "STEPS": _log_mel.STEPS,
        "MANTISSA_BITS": _log_mel.MANTISSA_BITS,
        "HIGHEST": _log_mel.HIGHEST,
        "DECAY": front_end.decay,
        "QUIETEST": front_end.quietest,
    }
    arrays = [
        _array("int16_t", "window[LOG_MEL_WINDOW]", front_end.hann),
        _array("int16_t", "cosine[LOG_MEL_WINDOW]", front_end.wave),
        _array("int16_t", "sine[LOG_MEL_WINDOW]", front_end.sine),
        _array("uint8_t", "weights[LOG_MEL_BINS][LOG_MEL_BANDS]", front_end.weights),
        _array("uint8_t", f"logarithms[{len(front_end.logarithms)}]", front_end.logarithms),
    ]
    lines = [f"#define LOG_MEL_{name} {value}" for name, value in constants.items()]
    return "\n".join([f"/* For samples at {front_end.rate} Hz. */", *lines, *arrays, ""])


def _array(kind: str, declaration: str, values: Array) -> str:
    rows = values.reshape(-1, values.shape[-1]).tolist()
    texts = [", ".join(map(str, row)) for row in rows]
    body = texts[0] if values.ndim == 1 else ",\n".join(f"{{{text}}}" for text in texts)
    return f"static const {kind} log_mel_{declaration} = {{\n{body}\n}};"
