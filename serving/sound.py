"""Prepares a WAV file exactly as the model card says: the same features as in training."""

from __future__ import annotations

import io
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Tuple, Union

import numpy as np

from serving.errors import BundleError, InputError, reason
from serving.model_card import ModelCard

RECORDINGS = "recordings/"  # in a bundle: NAME.wav, and as bytes its features NAME.features
WIDTH = 2  # bytes of a sample
PCM, EXTENSIBLE = 1, 0xFFFE  # the second names the format later
BLOCK = 2**16  # bytes
UNKNOWN = 2**32 - 1  # bytes of a file written to a pipe, or 0
CHUNKS = 1000  # before the samples


def read(source: Union[str, Path, bytes], name: str, card: ModelCard) -> Any:
    """A WAV file, or its bytes -> features (T, bands, 1) uint8. Raises InputError."""
    front_end = card.preprocessing.sound
    if front_end is None:
        raise InputError(f"{name} is a sound, and {card.name} takes {card.kind.noun}")
    frames = card.input_shape[0]
    recording = samples(source, name, front_end.rate, front_end.samples(frames))
    return front_end.image(recording, frames)


def samples(source: Union[str, Path, bytes], name: str, rate: int, count: int) -> Any:
    """At most the first `count` samples (S,) int16 of a WAV file. Raises InputError."""
    return next(blocks(source, name, rate, count))


def blocks(source: Union[str, Path, bytes], name: str, rate: int, count: int) -> Iterator[Any]:
    """All samples of a WAV file, at most `count` at a time. Raises InputError."""
    with _opened(source, name, rate) as (file, size):
        data = file.read(min(WIDTH * count, size))
        if len(data) < WIDTH:
            raise InputError(f"{name} holds no samples; {_expected(rate)}")
        used = 0
        while len(data) >= WIDTH:
            yield from_bytes(data)
            used += len(data)
            data = file.read(min(WIDTH * count, size - used))


def from_bytes(data: bytes) -> Any:
    """Samples (S,) int16 of little-endian bytes; half a sample at their end is left out."""
    return np.frombuffer(data[: len(data) // WIDTH * WIDTH], "<i2").astype(np.int16)


@contextmanager
def _opened(source: Union[str, Path, bytes], name: str, rate: int) -> Iterator[Tuple[Any, int]]:
    """A file at its first sample, and the bytes of all samples. Raises InputError."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            (channels, width, own_rate), size = _header(file)
            if (channels, width, own_rate) != (1, WIDTH, rate):
                raise InputError(
                    f"{name} has {channels} channel{'s' * (channels != 1)} of {8 * width} bits at "
                    f"{own_rate} Hz; {_expected(rate)}"
                )
            yield file, size
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{name} is not readable ({reason(error)}); {_expected(rate)}") from None


def _header(file: Any) -> Tuple[Tuple[int, int, int], int]:
    """Channels, bytes of a sample and Hz; and the bytes of all samples, which follow in the file.

    The module `wave` refuses WAVE_FORMAT_EXTENSIBLE before Python 3.12. Raises ValueError.
    """
    riff, left, form = _unpacked(file.read(12), "<4sI4s")
    if (riff, form) != (b"RIFF", b"WAVE"):
        raise ValueError("it is no WAV file")
    left = (left or UNKNOWN) - len(form)  # what follows belongs to no chunk
    layout = None
    for _ in range(CHUNKS):
        kind, size = _unpacked(file.read(8), "<4sI")
        left -= 8 + size
        if kind == b"data" and layout:
            return layout, max(size + min(left, 0), 0)
        if left < 0:
            raise ValueError("it is cut short")
        left -= size % 2
        size += size % 2
        chunk = file.read(min(size, BLOCK))
        if kind == b"fmt ":
            layout = _layout(chunk)
        for start in range(BLOCK, size, BLOCK):  # as a pipe cannot seek
            file.read(min(BLOCK, size - start))
    raise ValueError(f"its first {CHUNKS:,} chunks hold no samples")


def _layout(chunk: bytes) -> Tuple[int, int, int]:
    """Of `_header`. Raises ValueError for what is not PCM."""
    tag, channels, rate, bits = _unpacked(chunk, "<HHI6xH")
    if tag == EXTENSIBLE:
        (tag,) = _unpacked(chunk, "<24xH")
    if tag != PCM:
        raise ValueError("its samples are no PCM")
    return channels, (bits + 7) // 8, rate


def _unpacked(data: bytes, layout: str) -> Tuple[Any, ...]:
    """Raises ValueError."""
    try:
        return struct.unpack_from(layout, data)
    except struct.error:
        raise ValueError("it is cut short") from None


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
