"""Words in a stream: the detector, and the windows that it looks at."""

from __future__ import annotations

import struct
import tracemalloc
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.files.artifacts import Array
from serving import sound
from serving.listening import Listener
from serving.log_mel import LogMel
from tests.listening.conftest import in_python


def heard(listener: Listener, rows: Sequence[Sequence[float]]) -> list[tuple[float, int]]:
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
    assert heard(plain, [HIGH, HIGHER, HIGH, LOW, LOW]) == [(1, 0)]
    assert heard(plain, [HIGH, OTHER, HIGH, LOW]) == [(1, 1)]
    assert heard(plain, [HIGH, *[LOW] * 4, HIGH]) == [(0, 0), (5, 0)]
    assert heard(plain, [HIGH, *[LOW] * 3, HIGH]) == [(0, 0)]
    assert heard(plain, [HIGH] * 11) == [(0, 0), (5, 0), (10, 0)]


def test_a_word_needs_the_threshold_of_the_card_and_that_of_the_listener() -> None:
    assert heard(Listener(LogMel(), 61, 15, 1, threshold=0.3), [LOW]) == [(0, 2)]
    assert heard(Listener(LogMel(), 61, 15, 1, threshold=0.3), [[0.39, 0.3, 0.31]]) == []
    assert heard(Listener(LogMel(), 61, 15, 1, threshold=0.81), [HIGH, OTHER]) == [(1, 1)]
    assert heard(Listener(LogMel(), 61, 15, 1, threshold=0.8), [HIGH]) == [(0, 0)]


def test_one_window_alone_is_no_word_if_the_mean_of_several_counts() -> None:
    smooth = Listener(LogMel(), 61, 15, smoothing=2, threshold=0.7)
    assert heard(smooth, [LOW, HIGHER, LOW]) == []
    assert heard(smooth, [LOW, HIGH, HIGHER, LOW]) == [(1.5, 0)]
    assert heard(smooth, [HIGHER, LOW]) == [(0, 0)], "the first window has none before it"


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
    expected = LogMel().image(word, 61)[..., 0]
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
