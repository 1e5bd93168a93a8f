"""What a model that somebody else trained expects of pixels and classes, by labelled examples.

Nothing in a Keras file says whether it wants pixels from 0 to 255, from 0 to 1, or otherwise, and
in which order its classes are. A wrong guess makes no error, only wrong answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np

from pipeline.config.own_model import OwnModel, Scale
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.process.words import percent
from pipeline.training import keras_files
from pipeline.training.class_order import other_order, p_value


class Scaling(NamedTuple):
    """(pixel - mean) / deviation, in pixels from 0 to 255.

    With `bgr` the channels become blue, green, red, of which mean and deviation are then.
    """

    mean: Sequence[float]
    deviation: Sequence[float]
    bgr: bool = False


SCALINGS: Mapping[str, Scaling] = {
    "raw": Scaling([0.0], [1.0]),
    "unit": Scaling([0.0], [255.0]),
    "signed": Scaling([127.5], [127.5]),
    # torchvision's mean and deviation of ImageNet, red, green, blue
    "imagenet": Scaling([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
    # the mean that Keras's preprocess_input has for models of Caffe
    "caffe_rgb": Scaling([123.68, 116.779, 103.939], [1.0] * 3),
    "raw_bgr": Scaling([0.0] * 3, [1.0] * 3, bgr=True),
    "unit_bgr": Scaling([0.0] * 3, [255.0] * 3, bgr=True),
    "signed_bgr": Scaling([127.5] * 3, [127.5] * 3, bgr=True),
    "imagenet_bgr": Scaling([103.53, 116.28, 123.675], [57.375, 57.12, 58.395], bgr=True),
    "caffe": Scaling([103.939, 116.779, 123.68], [1.0] * 3, bgr=True),
}
# The same in red, green, blue
RGB = {
    **{name: name.removesuffix("_bgr") for name in SCALINGS if name.endswith("_bgr")},
    "caffe": "caffe_rgb",
}
IN_WORDS = {
    "raw": "pixels from 0 to 255",
    "unit": "pixels divided by 255",
    "signed": "pixels scaled to -1 to 1",
    "imagenet": "pixels less ImageNet's mean, divided by its deviation",
    "caffe_rgb": "pixels less Caffe's mean of ImageNet",
    "caffe": "pixels less Caffe's mean of ImageNet",
}
IN_BGR = ", as blue, green, red"
STANDARD = "standard"  # mean and deviation of the dataset, as many trainings have it
OTHER = "other"  # mean and deviation that params.yaml names
SAMPLES = 1000
SHOWN = 5  # classes that a sentence names
SIGNIFICANT = 0.05  # p-value of a paired test


@dataclass(frozen=True)
class ScalingResult:
    """What a model answers to examples that are scaled in one way.

    `outputs` are those of the model, (N, K), or (N, 1) for two classes. `right` (N,) says which
    answers are right. If another order of the classes explains them, `order` has the class of each
    output, `right` is by that, and `accuracy_in_dataset_order` is that without it.
    """

    outputs: Array
    right: Array
    order: list[int] | None
    accuracy_in_dataset_order: float

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def samples(count: int) -> Array:
    """The rows of at most SAMPLES examples, always the same."""
    return np.sort(np.random.default_rng(0).permutation(count)[:SAMPLES])


def outputs(network: keras.Model, images: Array, scaling: Scaling) -> Array:
    """What the network gives for these pixels (N, H, W, C), in the shape that it takes."""
    mean, deviation = (np.asarray(value, np.float32) for value in scaling[:2])
    pixels = images[..., ::-1] if scaling.bgr else images
    shape = [size or -1 for size in network.input_shape[1:]]
    shape = list(images.shape[1:]) if -1 in shape else shape
    size = keras_files.batch_size(images)
    return np.concatenate(
        [
            network.predict_on_batch(
                ((pixels[start : start + size] - mean) / deviation).reshape(-1, *shape)
            )
            for start in range(0, len(images), size)
        ]
    )


def judge(outputs: Array, labels: Array, order: Sequence[int]) -> ScalingResult:
    """Judges outputs by labels (N,); `order` has the output of each class."""
    answers = columns(outputs)[:, order].argmax(1)
    other = other_order(answers, labels, len(order))
    plain = answers == labels
    right = plain if other is None else np.asarray(other)[answers] == labels
    return ScalingResult(outputs, right, other, float(plain.mean()))


def columns(outputs: Array) -> Array:
    """Outputs (N, K); one for two classes becomes two, of which the higher is the answer."""
    if outputs.shape[1] > 1:
        return outputs
    is_probability = outputs.min() >= 0 and outputs.max() <= 1
    return np.hstack([1 - outputs if is_probability else -outputs, outputs])


def standard(images: Array) -> Scaling:
    """The mean and deviation of each channel of training images (N, H, W, C), of at most SAMPLES.

    Rounded to a tenth of a pixel, so that a person can compare them with those of the maker.
    """
    pixels = np.asarray(images[samples(len(images))], np.float64)
    mean, deviation = pixels.mean((0, 1, 2)).round(1), pixels.std((0, 1, 2)).round(1)
    return Scaling(list(mean), list(np.maximum(deviation, 1)))


def candidates(settings: OwnModel, images: Array) -> dict[str, Scaling]:
    """The scalings to try, with that of `model.scaling`; `images` (N, H, W, C) train.

    Raises UserError if it does not fit.
    """
    channels = images.shape[-1]
    result = {
        name: scaling for name, scaling in SCALINGS.items() if len(scaling.mean) in (1, channels)
    }
    result[STANDARD] = standard(images)
    if isinstance(settings.scaling, Scale):
        mean, deviation = (
            value if isinstance(value, list) else [value]
            for value in (settings.scaling.mean, settings.scaling.deviation)
        )
        bgr = settings.scaling.channels == "bgr"
        result[OTHER] = Scaling(mean, deviation, bgr)
        if not {len(mean), len(deviation)} <= {1, channels}:
            raise UserError(
                f"model.scaling has {len(mean)} means and {len(deviation)} deviations, and the "
                f"images have {channels} channels; expected one, or {channels}"
            )
        if bgr and channels != 3:
            raise UserError(
                f"model.scaling.channels is bgr, and the images have {channels} channels; expected "
                "images with 3"
            )
    elif settings.scaling not in ("auto", *result):
        raise UserError(
            f"model.scaling is {settings.scaling}, which is for 3 channels, and the images have "
            f"{channels}; expected {', '.join(result)}"
        )
    return result


def results(
    network: keras.Model,
    validation: tuple[Array, Array],
    scalings: Mapping[str, Scaling],
    order: Sequence[int],
) -> dict[str, ScalingResult]:
    """The result of each scaling on the same labelled examples."""
    rows = samples(len(validation[1]))
    images, labels = np.asarray(validation[0][rows]), np.asarray(validation[1][rows])
    return {
        name: judge(outputs(network, images, scaling), labels, order)
        for name, scaling in scalings.items()
    }


def best(settings: OwnModel, results: Mapping[str, ScalingResult], labels: Array) -> str:
    """The scaling of `model.scaling`, or the one that is clearly the best.

    Prints the accuracy of each. Raises UserError if none is clearly the best.
    """
    first, other = rivals(results)
    name = first
    if settings.scaling != "auto":
        name = OTHER if isinstance(settings.scaling, Scale) else settings.scaling
    if settings.scaling == "auto" and other and not is_better(results[first], results[other]):
        print_table(results, taken=None)
        raise UserError(_ask(settings, results, first, other, labels))
    print_table(results, name)
    if is_better(results[first], results[name]):
        print(f"warning: model.scaling is {name}, and {first} answers better")
    return name


def rivals(results: Mapping[str, ScalingResult]) -> tuple[str, str | None]:
    """The best scaling, and the best of those that it must be told from, if there are any.

    Of two that differ in the order of channels alone, red, green, blue is taken, as pixels come,
    unless the other is clearly better: grey pictures do not tell them apart. In the same way the
    mean of the dataset must be clearly better than all others, or it is no rival.
    """
    ranked = sorted(results, key=lambda name: -results[name].accuracy)
    others = [name for name in ranked if name != STANDARD]
    if len(others) < len(ranked) and not is_better(results[STANDARD], results[others[0]]):
        ranked = others
    first = ranked[0]
    rgb = RGB.get(first, first)
    others = [name for name in ranked if RGB.get(name, name) != rgb]
    if rgb in results and not is_better(results[first], results[rgb]):
        first = rgb
    return first, others[0] if others else None


def is_better(result: ScalingResult, other: ScalingResult) -> bool:
    """Whether it has more right answers to the same examples, and significantly so."""
    gains = result.accuracy > other.accuracy
    return gains and p_value(result.right, other.right) < SIGNIFICANT


def print_table(results: Mapping[str, ScalingResult], taken: str | None) -> None:
    count = len(next(iter(results.values())).right)
    print(f"scaling      right of {count:,} validation images")
    for other, each in results.items():
        mark = "  <- taken" if other == taken else ""
        print(f"{other:12} {percent(each.accuracy):>10}{mark}")


def _ask(
    settings: OwnModel, results: Mapping[str, ScalingResult], first: str, second: str, labels: Array
) -> str:
    most = np.unique(labels, return_counts=True)[1].max() / len(labels)
    guessing = ""
    if results[first].accuracy < most + 0.05:
        guessing = (
            f", which is hardly better than always naming the most frequent class "
            f"({percent(most)}), so the model may know other classes"
        )
    most_right = results.get(STANDARD, results[first])
    if most_right.accuracy > results[first].accuracy:
        guessing += (
            f"; with {STANDARD} {percent(most_right.accuracy)} are right, which is not clearly more"
        )
    return (
        f"which scaling {settings.path} expects is not clear: of "
        f"{len(results[first].right):,} validation images {percent(results[first].accuracy)} are "
        f"right with {first} and {percent(results[second].accuracy)} with {second}{guessing}; set "
        f"model.scaling to {', '.join(results)}, or {{mean: ..., deviation: ...}} in pixels, as "
        "in the training of the model"
    )


def check_order(
    settings: OwnModel, result: ScalingResult, class_names: Sequence[str], order: Sequence[int]
) -> None:
    """Raises UserError if another order of the classes explains the answers."""
    if result.order is None:
        return
    names = [""] * len(class_names)
    for column, label in enumerate(result.order):
        names[order[column]] = class_names[label]
    moved = [
        f"{class_names[column]} seems to be {class_names[label]}"
        for column, label in enumerate(result.order)
        if column != label
    ]
    raise UserError(
        f"{settings.path} seems to have its classes in another order than the dataset: of "
        f"{len(result.right):,} validation images {percent(result.accuracy_in_dataset_order)} are "
        f"right, and {percent(result.accuracy)} if {', '.join(moved[:SHOWN])}"
        f"{' and so on' if len(moved) > SHOWN else ''}; if so, set model.labels to "
        f"{json.dumps(names, ensure_ascii=False)}"
    )


def in_words(name: str, scaling: Scaling) -> str:
    mean, deviation = (", ".join(f"{x:g}" for x in value) for value in scaling[:2])
    words = IN_WORDS.get(name.removesuffix("_bgr"), f"pixels less {mean}, divided by {deviation}")
    words += ", the dataset's mean and deviation" if name == STANDARD else ""
    return words + IN_BGR * scaling.bgr
