"""Series: raw measurements (N, T, C) float32, T steps of C channels, as of a motion sensor.

The channels may differ in scale: the model normalizes each of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.preprocess import Evidence
from pipeline.inputs import Drawing, Predict, Sheet, _sheet, _split_checks

NOUN = "series"
ARRAYS = "float32 of shape (N, T, C) for series of T steps and C channels"
CHANNELS: tuple[int, ...] = ()  # any number
BASELINES = {
    "nearest_mean": "nearest mean series",
    "random_forest": "random forest on statistics of each channel",
}
VOCABULARY = False
AUGMENTATION = False
IMAGES = False
AXES = True
CONVOLUTIONS = "series_cnn"
EMBEDDED = True
PICTURED = True
SHOWN = 30
CLASSES = 25
BEFORE_CONFIDENCE = "\n"
COMPANIONS = ""
VALUES = "raw measurements"
PREPARED = "How data become the input"
EXAMPLES = ""
EXAMPLE = "recording.csv"

TREES = 200
FITTED = 20_000  # windows, evenly spaced, that the random forest takes at most
BLOCKS = 20  # along time; noise hardly changes their means, which are compared
DRAWN_STEPS = 200  # of a drawing on a page; a longer series is thinned out
MARGIN = 0.1  # of the training set's range, which the model card's range exceeds on both sides
DIGITS = 3  # significant, of the model card's range
SYNTHETIC_NOISE = 4
INVENTED = 32  # random inputs, for data that may not be passed on
OF_WINDOWS = (
    "{steps} measurements at {rate:g} Hz of {channels} channels, {names}, as they are, in the "
    "units of the training set; the next window begins {step} measurements later"
)
DESCRIPTION = (
    "measurements as they are, {steps} steps of {channels} channels, in the units, at the rate and "
    "in the order of channels of the training set"
)


def value_range(train: Array, description: Description) -> tuple[float, float]:
    """The range of the training set, a little wider: a test set or a device may exceed it."""
    low, high = _limits(train)
    margin = MARGIN * (high - low) or max(abs(high), 1.0)
    return _rounded(low - margin), _rounded(high + margin)


def _limits(series: Array) -> tuple[float, float]:
    chunks = [series[start:stop] for start, stop in artifacts.chunks_of(series)]
    return float(min(part.min() for part in chunks)), float(max(part.max() for part in chunks))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def moments(series: Array) -> tuple[Array, Array]:
    """The mean and the standard deviation of each channel: (C,) float64; no deviation is 0."""
    count = series.shape[0] * series.shape[1]
    chunks = [slice(start, stop) for start, stop in artifacts.chunks_of(series)]
    mean = sum(series[part].sum((0, 1), dtype=np.float64) for part in chunks) / count
    squares = sum(np.square(series[part] - mean).sum((0, 1)) for part in chunks)
    deviation = np.sqrt(squares / count)
    return mean, np.where(deviation > 0, deviation, 1.0)


def report(series: Array, description: Description) -> dict[str, Any]:
    """The mean and deviation of each channel, the limits, and how many series never change."""
    mean, deviation = moments(series)
    low, high = _limits(series)
    empty = sum(
        int((series[start:stop].min(1) == series[start:stop].max(1)).all(1).sum())
        for start, stop in artifacts.chunks_of(series)
    )
    return {
        "channel_means": mean.tolist(),
        "channel_standard_deviations": deviation.tolist(),
        "minimum": low,
        "maximum": high,
        "empty": empty,
    }


def evidence(train: Array, validation: Array) -> Evidence:
    """Near copies count too: the means of blocks are compared, with all channels in one scale."""
    train_rows, rows, balanced_rows = _split_checks.queries(len(train), len(validation))
    mean, deviation = moments(train)

    def scaled(series: Array) -> Array:
        result: Array = ((series - mean) / deviation).astype(np.float32)
        return result

    query = scaled(validation[rows])
    balanced = scaled(train[balanced_rows])
    blocked = blocks(scaled(train))
    copied = _split_checks.copied([blocked], blocked[train_rows], train_rows, blocks(query))
    told_apart = _split_checks.told_apart(
        (blocks(balanced), roughness(balanced)), (blocks(query), roughness(query))
    )
    return Evidence(len(train), len(validation), *copied, *told_apart)


def blocks(series: Array) -> Array:
    """The means of at most BLOCKS blocks of steps of each channel -> (N, D) float32."""
    size = max(series.shape[1] // BLOCKS, 1)
    count = series.shape[1] // size
    blocked = series[:, : count * size].reshape(len(series), count, size, -1)
    means: Array = blocked.mean(2).reshape(len(series), -1)
    return means


def roughness(series: Array) -> Array:
    """The mean difference of neighbouring steps (N,), which noise raises and smoothing lowers."""
    steps: Array = np.abs(np.diff(series, axis=1, append=series[:, -1:])).mean((1, 2))
    return steps


def baseline(
    train: Array, labels: Array, description: Description, pictures: Drawing, path: Path
) -> Predict:
    """The nearest mean series, which the picture shows, and a random forest."""
    _, deviation = moments(train)
    num_classes = len(description.class_names)
    means = class_means(train, labels, num_classes)
    names = pictures.shown_names(description.class_names)
    shown = _sheet.spread(num_classes, CLASSES)
    title = _sheet.title("Mean series of each class", len(shown), num_classes)
    pictures.lines(path, means[shown], [names[label] for label in shown], title=title)
    forest = fitted(train, labels)
    return lambda series: {
        "nearest_mean": nearest(series, means, deviation),
        "random_forest": predicted(forest, series),
    }


def fitted(train: Array, labels: Array) -> Any:
    """A random forest by scikit-learn on the statistics of each channel."""
    from sklearn.ensemble import RandomForestClassifier

    rows = _sheet.spread(len(train), FITTED)
    forest = RandomForestClassifier(TREES, random_state=0)
    with warnings.catch_warnings():  # about more classes than half of the examples
        warnings.simplefilter("ignore", UserWarning)
        return forest.fit(statistics(train[rows]), np.asarray(labels)[rows])


def predicted(forest: Any, series: Array) -> Array:
    result: Array = forest.predict(statistics(series))
    return result


def statistics(series: Array) -> Array:
    """Mean, deviation, least, most, and mean step from row to row: (N, 5 C) float32."""
    parts = []
    for start, stop in artifacts.chunks_of(series):
        values = np.asarray(series[start:stop], np.float64)
        steps = np.abs(np.diff(values, axis=1, append=values[:, -1:])).mean(1)
        parts.append(
            np.hstack([values.mean(1), values.std(1), values.min(1), values.max(1), steps])
        )
    return np.concatenate(parts).astype(np.float32)


def class_means(series: Array, labels: Array, num_classes: int) -> Array:
    """The mean series of each class: (K, T, C) float64."""
    sums = np.zeros((num_classes, *series.shape[1:]))
    for start, stop in artifacts.chunks_of(series):
        np.add.at(sums, labels[start:stop], series[start:stop])
    return sums / np.bincount(labels, minlength=num_classes)[:, None, None]


def nearest(series: Array, means: Array, deviation: Array) -> Array:
    """For each series (N, T, C) the class (N,) whose mean is nearest, with all channels scaled."""
    predictions = []
    for start, stop in artifacts.chunks_of(series, 256):
        differences = (series[start:stop, None] - means) / deviation  # (N, K, T, C)
        predictions.append(np.square(differences).sum((2, 3)).argmin(1))
    return np.concatenate(predictions)


def regressors(series: Array, description: Description) -> Array:
    """Every value of every step."""
    return series.reshape(len(series), -1)


def draw(pictures: Drawing, sheet: Sheet, series: Array, vocabulary: Sequence[str] = ()) -> None:
    pictures.lines(sheet.path, series, sheet.titles, title=sheet.title)


def html(series: Array, vocabulary: Sequence[str] = ()) -> str:
    """A line for each channel (T, C), all in one scale."""
    values = np.asarray(series)[:: -(-len(series) // DRAWN_STEPS)].astype(np.float64)
    low, high = values.min(), values.max()
    scaled = 5 + 90 * (high - values) / ((high - low) or 1.0)
    width = max(len(values) - 1, 1)
    lines = [
        f'<polyline points="{" ".join(f"{x},{y:.0f}" for x, y in enumerate(channel))}" '
        f'stroke="hsl({360 * number // scaled.shape[1]} 70% 45%)"/>'
        for number, channel in enumerate(scaled.T)
    ]
    return (
        f'<svg viewBox="0 0 {width} 100" preserveAspectRatio="none" fill="none" role="img">'
        f"{''.join(lines)}</svg>"
    )


def calibration(series: Array) -> Array:
    return series  # int8 files normalize in float32, and quantize what comes out


def synthetic(examples: Array, limits: tuple[float, float]) -> Array:
    """Mirrored and reversed examples, zeros, both limits everywhere, noise between the limits."""
    low, high = limits
    shape = examples.shape[1:]
    constant = [np.full(shape, value) for value in (0.0, low, high)]
    noise = np.random.default_rng(0).uniform(low, high, (SYNTHETIC_NOISE, *shape))
    return np.concatenate([-np.asarray(examples)[:, ::-1], constant, noise]).astype(np.float32)


def invented(series: Array, limits: tuple[float, float]) -> Array:
    """Noise between the limits, zeros and both limits; mirrored examples would reveal the data."""
    low, high = limits
    shape = series.shape[1:]
    constant = [np.full(shape, value) for value in (0.0, low, high)]
    noise = np.random.default_rng(0).uniform(low, high, (INVENTED, *shape))
    return np.concatenate([noise, constant]).astype(np.float32)


def preprocessing(description: Description) -> dict[str, Any]:
    steps, channels = description.input_shape
    own = description.series
    if own is None:
        text = DESCRIPTION.format(steps=steps, channels=channels)
        return {"method": "series", "box": None, "description": text}
    names = ", ".join(own["channels"])
    text = OF_WINDOWS.format(
        steps=steps, channels=channels, names=names, rate=own["rate"], step=own["step"]
    )
    return {"method": "series", "box": None, "description": text, "series": own}
