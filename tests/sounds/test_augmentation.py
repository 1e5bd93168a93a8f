"""Augmentation of log-mel features, in which a step is 0.25 dB and 255 the loudest band."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.config.params import KerasObject
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError

SHAPE = (40, 32, 1)
AS_IT_IS = {"speed": [1, 1], "tone": 0, "later": 0}
NO_NOISE = {"noise": [200, 200]}


def layer(name: str, **config: Any) -> Any:
    from pipeline.training import keras_objects

    return keras_objects.augmentation(0, KerasObject(class_name=name, config=config), seed=0)


def word(frames: int = 12, band: int = 16) -> Array:
    """64 equal recordings: a tone from the first frame on, in three bands, then silence."""
    features = np.zeros((64, *SHAPE), np.uint8)
    features[:, :frames, band - 1 : band + 2] = 255
    return features


def augmented(name: str, features: Array, **config: Any) -> Array:
    return np.asarray(layer(name, **config)(features, training=True))


def duration(features: Array) -> Array:
    frames: Array = (features.max((2, 3)) > 127).sum(1)
    return frames


@pytest.mark.parametrize("name", ["RandomVoice", "RandomMicrophone"])
def test_a_device_hears_what_it_hears(name: str) -> None:
    np.testing.assert_array_equal(layer(name)(word(), training=False), word())


def test_a_voice_that_changes_nothing_keeps_the_word() -> None:
    np.testing.assert_allclose(augmented("RandomVoice", word(), **AS_IT_IS), word(), atol=1e-3)


@pytest.mark.parametrize(("speed", "frames"), [(2.0, 6), (0.5, 24)])
def test_a_fast_word_is_short_and_begins_as_early(speed: float, frames: int) -> None:
    changed = augmented("RandomVoice", word(), **AS_IT_IS | {"speed": [speed, speed]})
    assert np.all(abs(duration(changed) - frames) <= 1)
    assert np.all(changed[:, 0].max((1, 2)) == 255)


def test_a_word_is_late_by_at_most_the_share_of_the_recording() -> None:
    changed = augmented("RandomVoice", word(), **AS_IT_IS | {"later": 0.25})
    onset = (changed.max((2, 3)) > 127).argmax(1)
    assert onset.min() <= 1
    assert 7 <= onset.max() <= 10
    assert np.all(abs(duration(changed) - 12) <= 1)


def test_tones_move_along_the_scale() -> None:
    changed = augmented("RandomVoice", word(), **AS_IT_IS | {"tone": 0.25})
    band = changed[:, 5, :, 0].argmax(1)
    assert band.min() < 15
    assert band.max() > 17
    assert np.all((band > 16 / 1.4) & (band < 16 * 1.4))


def test_noise_fills_what_was_silent_at_its_level() -> None:
    changed = augmented("RandomMicrophone", word(), response=0, noise=[32, 32])
    assert abs(changed[:, 20:].mean() - 127) < 2
    assert np.all(changed[:, :12, 16] == 255)


def test_noise_below_what_features_can_hold_changes_nothing() -> None:
    changed = augmented("RandomMicrophone", word(), response=0, **NO_NOISE)
    np.testing.assert_allclose(changed, word(), atol=1e-3)


def test_a_response_is_that_of_the_band_and_leaves_the_loudest_where_it_was() -> None:
    features = np.full((64, *SHAPE), 128, np.uint8)
    changed = augmented("RandomMicrophone", features, response=3, **NO_NOISE)
    np.testing.assert_allclose(changed, changed[:, :1].repeat(SHAPE[0], 1), atol=1e-3)
    np.testing.assert_allclose(changed.max((1, 2, 3)), 128, atol=1e-3)
    assert 2 < np.ptp(changed[:, 0], axis=1).mean() / 3.98 / 3 < 6  # the range, in deviations


def test_silence_stays_as_quiet_as_a_device_hears_it() -> None:
    silence = np.zeros((8, *SHAPE), np.uint8)
    assert augmented("RandomMicrophone", silence).max() < 5
    hum = np.where(np.arange(32) == 5, 190, 100)[None, None, :, None]
    heard = augmented("RandomMicrophone", np.broadcast_to(hum, (8, *SHAPE)).astype(np.uint8))
    assert heard.max() < 200


@pytest.mark.parametrize("name", ["RandomVoice", "RandomMicrophone"])
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_it_works_in_the_precisions_of_training(name: str, precision: str) -> None:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        result = layer(name)(word(), training=True)
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(result.dtype) == precision.removeprefix("mixed_")


def test_two_equal_sounds_are_three_decibels_louder_than_one() -> None:
    from pipeline.training import sound_augmentation

    together = sound_augmentation.energies_added(np.float32(100), np.float32(100))
    assert abs((float(together) - 100) / sound_augmentation.STEPS - 3.0103) < 1e-3


@pytest.mark.parametrize(
    ("name", "config", "reason"),
    [
        ("RandomVoice", {"speed": [0, 1]}, "speed is"),
        ("RandomVoice", {"speed": [1.2, 0.8]}, "the lower one first"),
        ("RandomVoice", {"tone": -0.1}, "tone is -0.1; expected at least 0 and below 1"),
        ("RandomMicrophone", {"response": -1}, "response is -1; expected at least 0 dB"),
        ("RandomMicrophone", {"noise": [50, 30]}, "the louder one first"),
    ],
)
def test_impossible_values_are_refused(name: str, config: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=f"{name} rejects its config: .*{reason}"):
        layer(name, **config)
