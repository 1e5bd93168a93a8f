"""A device reads sounds as training did, or refuses them."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.architectures import ds_cnn
from pipeline.bundle import golden_sounds
from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.inputs import sounds
from pipeline.process.errors import UserError
from serving import sound
from serving.errors import BundleError, InputError
from serving.model_card import ModelCard
from tests.sounds.conftest import FRONT_END, card, described, features, tone, wav


def test_a_device_reads_a_wav_file_with_the_features_of_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for count in (10, 3000, 8000, 20_000):
        data = wav(rng.integers(-(2**15), 2**15, count).astype(np.int16))
        (tmp_path / "a.wav").write_bytes(data)
        for source in (data, tmp_path / "a.wav"):
            assert np.array_equal(sound.read(source, "a.wav", card()), features(data))


def test_an_extensible_wav_file_equals_plain_pcm(tmp_path: Path) -> None:
    plain, extensible = wav(tone()), wav(tone(), kind="WAVEX")
    assert extensible[20:22] == b"\xfe\xff"
    (tmp_path / "a.wav").write_bytes(extensible)
    expected = sound.read(plain, "a.wav", card())
    for source in (extensible, tmp_path / "a.wav"):
        assert np.array_equal(sound.read(source, "a.wav", card()), expected)
    assert np.array_equal(features(extensible), expected)


@pytest.mark.parametrize("size", [0, 2**32 - 1])
def test_a_wav_file_that_was_written_to_a_pipe_is_read_to_its_end(size: int) -> None:
    plain = wav(tone())
    streamed = plain[:4] + struct.pack("<I", size) + plain[8:]
    expected = sound.read(plain, "a.wav", card())
    assert np.array_equal(sound.read(streamed, "a.wav", card()), expected)
    endless = streamed[:40] + b"\xff" * 4 + streamed[44:]  # the samples
    assert np.array_equal(sound.read(endless, "a.wav", card()), expected)


class Endless(io.BytesIO):
    """A pipe that repeats an empty chunk."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size) or b"junk\0\0\0\0"


@pytest.mark.parametrize(
    ("size", "sentence"), [(36, "cut short"), (2**32 - 1, "first 1,000 chunks hold no samples")]
)
def test_chunks_without_samples_are_not_read_for_ever(size: int, sentence: str) -> None:
    head = wav(tone())[:36]
    with pytest.raises(ValueError, match=sentence):
        sound._header(Endless(head[:4] + struct.pack("<I", size) + head[8:]))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (wav(tone(), subtype="FLOAT"), "its samples are no PCM"),
        (wav(tone(), kind="WAVEX", subtype="FLOAT"), "its samples are no PCM"),
        (wav(tone(16000), 16000), "has 1 channel of 16 bits at 16000 Hz; expected a WAV file with"),
        (wav(np.zeros((9, 2))), r"has 2 channels of 16 bits .* `ffmpeg -i FILE -ac 1 -ar 8000"),
        (wav(tone(), subtype="PCM_24"), "has 1 channel of 24 bits"),
        (wav(np.zeros(0)), "holds no samples"),
        (wav(tone(), kind="FLAC"), r"is not readable .* 16-bit PCM at 8000 Hz"),
        (wav(tone())[:30], "is not readable"),
        (b"", "is not readable"),
    ],
    ids=[
        "float",
        "extensible float",
        "16 kHz",
        "2 channels",
        "24 bits",
        "no samples",
        "FLAC",
        "a cut header",
        "nothing",
    ],
)
def test_a_device_refuses_other_sounds_and_says_what_it_needs(data: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        sound.read(data, "a.wav", card())


def test_a_card_says_that_its_input_is_a_sound_and_another_shape_is_refused() -> None:
    parsed = ModelCard.parse(card().dump())
    assert parsed.kind.name == "sounds"
    assert parsed.preprocessing.sound == FRONT_END
    other = replace(card(), input=replace(card().input, shape=(61, 31, 1)))
    with pytest.raises(
        BundleError, match=r"input.shape is \(61, 31, 1\), expected frames of LogMel"
    ):
        ModelCard.parse(other.dump())


def test_a_device_whose_front_end_differs_is_refused(tmp_path: Path) -> None:
    golden_sounds.write(tmp_path, card(), described(), np.zeros((1, 61, 32, 1), np.uint8))

    names = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")]

    def file(name: str) -> bytes:
        return (tmp_path / name).read_bytes()

    sound.check_recordings(card(), names, file)
    assert len(names) == 10
    changed = tmp_path / "recordings" / "buzz.features"
    changed.write_bytes(bytes([changed.read_bytes()[0] ^ 1]) + changed.read_bytes()[1:])
    with pytest.raises(BundleError, match=r"recordings/buzz\.wav has other features on this"):
        sound.check_recordings(card(), names, file)


def test_the_baseline_knows_more_than_the_nearest_mean_and_the_network_takes_any_length() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    x = rng.integers(100, 156, (200, 7, 4, 1)).astype(np.uint8)
    x[:, 2, 1, 0] = np.where(labels, 160, 96)
    regression = sounds.fitted(x[:150], labels[:150])
    assert (sounds.predicted(regression, x[150:]) == labels[150:]).all()
    for frames in (5, 61, 124):
        model = ds_cnn.build(Inputs((frames, 32, 1), "sounds"), 10, Network())
        assert model.output_shape == (None, 10)
    with pytest.raises(UserError, match="takes sounds"):
        ds_cnn.build(Inputs((28, 28, 1)), 10, Network())
