"""Sounds: log-mel features (N, T, bands, 1) uint8 of recordings, as serving.log_mel makes them.

They are small pictures, so what pixels need of pictures holds for them too.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.artifacts import Array, Description
from pipeline.inputs import Drawing, Predict, Sheet, _sheet, pixels

NOUN = "sounds"
ARRAYS = "uint8 of shape (N, T, bands, 1) for the log-mel features of sounds"
CHANNELS: tuple[int, ...] = (1,)
BASELINES = {
    "nearest_mean": "nearest mean of the features",
    "logistic_regression": "logistic regression on the features",
}
VOCABULARY = False
AUGMENTATION = True
IMAGES = False
AXES = False
CONVOLUTIONS = "ds_cnn"
EMBEDDED = True
PICTURED = True
SHOWN = 30
CLASSES = 25
BEFORE_CONFIDENCE = "\n"
COMPANIONS = "golden_sounds"
VALUES = "log-mel features"
PREPARED = "How a sound becomes the input"
EXAMPLES = (
    " `recordings/` contains example sounds, and the exact bytes of their features, to test a "
    "front end in another language; `serving check` compares them."
)
EXAMPLE = "sound.wav"

# What is as of pictures
calibration = pixels.calibration
evidence = pixels.evidence
invented = pixels.invented
regressors = pixels.regressors
report = pixels.report
synthetic = pixels.synthetic
value_range = pixels.value_range

# The regression takes at most this many values, of evenly spaced recordings: 8,000 of one second
FITTED_VALUES = 16_000_000
ITERATIONS, STRENGTH = 200, 0.01
DESCRIPTION = (
    "the first {seconds:.3g} s, zero-padded, of one channel of 16-bit samples at {rate} Hz, in "
    "{frames} frames of {window} samples that begin {hop} apart: the logarithms of the energies in "
    "{bands} bands of the mel scale, in steps of 0.25 dB, with 255 for the loudest of the "
    "recording and 0 for 64 dB less, as serving/log_mel.py computes them in integers"
)


def baseline(
    train: Array, labels: Array, description: Description, pictures: Drawing, path: Path
) -> Predict:
    """The nearest mean, which the picture shows, and logistic regression on the same features."""
    means = pixels.class_means(train, labels, len(description.class_names))
    shown = _sheet.spread(len(means), CLASSES)
    names = pictures.shown_names(description.class_names)
    pictures.images(
        path,
        upright(means[shown]),
        [names[label] for label in shown],
        title=_sheet.title("Mean features of each class", len(shown), len(means)),
    )
    regression = fitted(train, labels)
    return lambda sounds: {
        "nearest_mean": pixels.nearest(sounds, means)["rmse"],
        "logistic_regression": predicted(regression, sounds),
    }


def fitted(train: Array, labels: Array) -> Any:
    """Logistic regression by scikit-learn on standardized features."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = _sheet.spread(len(train), max(FITTED_VALUES // train[0].size, 1))
    regression = make_pipeline(
        StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=ITERATIONS)
    )
    with warnings.catch_warnings():  # it is good enough where it has not converged
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(_flat(train[rows]), np.asarray(labels)[rows])
    return regression


def predicted(regression: Any, sounds: Array) -> Array:
    result: Array = regression.predict(_flat(sounds))
    return result


def _flat(sounds: Array) -> Array:
    return np.asarray(sounds).reshape(len(sounds), -1).astype(np.float32)


def upright(sounds: Array) -> Array:
    """Pictures (N, bands, T, 1) as spectrograms are drawn: time to the right, high tones above."""
    return sounds.transpose(0, 2, 1, 3)[:, ::-1]


def draw(pictures: Drawing, sheet: Sheet, sounds: Array, vocabulary: Sequence[str] = ()) -> None:
    pictures.images(sheet.path, upright(np.asarray(sounds)), sheet.titles, title=sheet.title)


def html(sound: Array, vocabulary: Sequence[str] = ()) -> str:
    return pixels.html(upright(np.asarray(sound)[None])[0])


def preprocessing(description: Description) -> dict[str, Any]:
    assert description.sound is not None
    sound, frames = description.sound, description.input_shape[0]
    samples = sound["window"] + (frames - 1) * sound["hop"]
    text = DESCRIPTION.format(seconds=samples / sound["rate"], frames=frames, **sound)
    return {"method": "log_mel", "box": None, "description": text, "sound": sound}
