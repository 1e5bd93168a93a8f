"""Tones and files of them."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipeline.config.params import Dataset
from pipeline.datasets.reading import sound_list
from pipeline.files.artifacts import Array, Description
from pipeline.inputs import sounds
from serving.log_mel import LogMel
from serving.model_card import Preprocessing
from tests.test_photo import card as photo_card

FRONT_END = LogMel()


def tone(rate: int = 8000, seconds: float = 1.0, frequency: float = 440) -> Array:
    time = np.arange(int(rate * seconds)) / rate
    return 0.5 * np.sin(2 * np.pi * frequency * time)


def wav(samples: Array, rate: int = 8000, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format=kind)
    return file.getvalue()


def features(data: bytes) -> Array:
    return sound_list.features(io.BytesIO(data), FRONT_END, 8000)[0]


def folder(root: Path, **files: bytes) -> Dataset:
    """low/ and high/ with a tone each, and in low/ the files, `__` before a suffix."""
    for name, frequency in (("low", 300), ("high", 2000)):
        (root / name).mkdir(parents=True)
        (root / name / "tone.wav").write_bytes(wav(tone(frequency=frequency)))
    for name, data in files.items():
        (root / "low" / name.replace("__", ".")).write_bytes(data)
    return Dataset(name="audio_folder", path=str(root))


def described() -> Description:
    shape = (61, 32, 1)
    return Description("fsdd", ["a", "b"], shape, {}, [], "sounds", sound=asdict(FRONT_END))


def card() -> Any:
    values = sounds.preprocessing(described())
    how = Preprocessing(values["method"], values["description"], sound=FRONT_END)
    known = photo_card("cifar10")
    tensor = replace(known.input, type="uint8", shape=(61, 32, 1))
    return replace(known, preprocessing=how, input=tensor)
