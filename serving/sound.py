"""Prepares a WAV file exactly as the model card says: the same features as in training."""

from __future__ import annotations

import io
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Union

import numpy as np

from serving.errors import BundleError, InputError, reason
from serving.log_mel import LogMel
from serving.model_card import ModelCard

RECORDINGS = "recordings/"  # in a bundle: NAME.wav, and as bytes its features NAME.features
WIDTH = 2  # bytes of a sample


def read(source: Union[str, Path, bytes], name: str, card: ModelCard) -> Any:
    """A WAV file, or its bytes -> features (T, bands, 1) uint8. Raises InputError."""
    front_end = card.preprocessing.sound
    if front_end is None:
        raise InputError(f"{name} is a sound, and {card.name} takes {card.kind.noun}")
    count = front_end.samples(card.input_shape[0])
    return features(front_end, samples(source, name, front_end.rate, count), count)


def features(front_end: LogMel, recording: Any, count: int) -> Any:
    """Samples (S,) int16, cut or zero-padded to `count` -> features (T, bands, 1) uint8."""
    padded = np.zeros(count, np.int16)
    padded[: len(recording)] = recording[:count]
    return front_end.features(padded)[..., None]


def samples(source: Union[str, Path, bytes], name: str, rate: int, count: int) -> Any:
    """At most the first `count` samples (S,) int16 of a WAV file. Raises InputError."""
    return next(blocks(source, name, rate, count))


def blocks(source: Union[str, Path, bytes], name: str, rate: int, count: int) -> Iterator[Any]:
    """All samples of a WAV file, at most `count` at a time. Raises InputError."""
    with _opened(source, name, rate) as sound:
        data = sound.readframes(count)
        if len(data) < WIDTH:
            raise InputError(f"{name} holds no samples; {_expected(rate)}")
        while len(data) >= WIDTH:
            yield from_bytes(data)
            data = sound.readframes(count)


def from_bytes(data: bytes) -> Any:
    """Samples (S,) int16 of little-endian bytes; half a sample at their end is left out."""
    return np.frombuffer(data[: len(data) // WIDTH * WIDTH], "<i2").astype(np.int16)


@contextmanager
def _opened(source: Union[str, Path, bytes], name: str, rate: int) -> Iterator[Any]:
    """An open wave.Wave_read with the samples that a model takes. Raises InputError."""
    import wave  # which no picture needs

    file = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    try:
        with wave.open(file, "rb") as sound:
            channels, width, own_rate = sound.getparams()[:3]
            if (channels, width, own_rate) != (1, WIDTH, rate):
                raise InputError(
                    f"{name} has {channels} channel{'s' * (channels != 1)} of {8 * width} bits at "
                    f"{own_rate} Hz; {_expected(rate)}"
                )
            yield sound
    except InputError:
        raise
    except Exception as error:  # on damaged files the module raises anything
        raise InputError(f"{name} is not readable ({reason(error)}); {_expected(rate)}") from None


def _expected(rate: int) -> str:
    how = f"as of `ffmpeg -i FILE -ac 1 -ar {rate} -c:a pcm_s16le sound.wav`"
    return f"expected a WAV file with one channel of 16-bit PCM at {rate} Hz, {how}"


def check_recordings(card: ModelCard, names: Iterable[str], file: Callable[[str], bytes]) -> None:
    """This device must give the features of the golden recordings of a bundle, to the bit.

    `file` reads one of the bundle's files, which are called `names`. Raises BundleError.
    """
    recordings = [name for name in names if name.startswith(RECORDINGS) and name.endswith(".wav")]
    for name in sorted(recordings):
        if read(file(name), name, card).tobytes() != file(f"{name[:-4]}.features"):
            raise BundleError(
                f"{name} has other features on this device than when the bundle was made; "
                "install the package of the bundle's wheels/"
            )
