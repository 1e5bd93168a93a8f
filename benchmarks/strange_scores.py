"""Which score tells pictures that are not digits from digits, before and after int8.

    python -m benchmarks.strange_scores [--images 10000]

Reads the finished run in this folder, and trains nothing. Beside the largest probability, which
decides in the product, there are two scores of the logits, the largest and the energy (Liu et al.,
2020, Energy-based Out-of-distribution Detection, NeurIPS), and two of the features that the last
layer reads: the squared distance to the nearest class mean, and that of Mahalanobis with one
covariance for all classes (Lee et al., 2018, A Simple Unified Framework for Detecting
Out-of-Distribution Samples and Adversarial Attacks, NeurIPS). Means and covariance are of the
training images, as the very file sees them. The threshold of each score is fitted on the validation
set as the product fits its own, for at least 99 % of the digits; where two scores decide, each is
fitted for 99.5 %.

The int8 file is measured twice more: it ends in a softmax, so logits and features are read inside
it; and it is cut after the logits, as a device could have it, and run on TensorFlow Lite Micro.

Writes benchmarks/strange_scores.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from scipy import linalg, special
from tensorflow.lite.tools import flatbuffer_utils

from benchmarks import machine, rejection
from pipeline.files import artifacts, atomic, split_files
from pipeline.files.artifacts import Array
from pipeline.files.reports.export import ExportReport
from pipeline.process.words import percent
from pipeline.reporting.tables import table
from pipeline.runtimes import inner_tensors
from pipeline.training import keras_files
from pipeline.verification.rejection import for_coverage

PAGE = Path(__file__).with_suffix(".md")
LOST = 0.01  # of the digits, at most
FORMAT = "tflite_int8"
KERAS, INSIDE, CUT = "Keras", f"{FORMAT}, read inside", f"{FORMAT}, cut after the logits"
COLUMNS = ("file", "score", "bytes beside the file", "digits lost", *rejection.STRANGE)
RIDGE = 1e-6  # of the largest variance, added to each: some features are always 0


@dataclass(frozen=True)
class Seen:
    """What a file makes of images: logits (N, K), and the features (N, D) before the last layer."""

    logits: Array
    features: Array
    probabilities: Array


See = Callable[[Array], Seen]
Score = Callable[[Seen], Array]  # (N,); the higher, the more like the training images


@dataclass(frozen=True)
class Rule:
    """Rejects a picture if any of its scores does. `size` is the bytes it needs beside the file."""

    scores: tuple[Score, ...]
    size: int = 0

    def rejected(self, known: Seen, unknown: Seen) -> float:
        """The share of `unknown` that is rejected, by the thresholds that fit `known`."""
        coverage = 1 - LOST / len(self.scores)
        below = [score(unknown) < for_coverage(score(known), coverage) for score in self.scores]
        return float(np.any(below, axis=0).mean())


def energy(seen: Seen) -> Array:
    """Minus the energy, as the other scores are high for what is known."""
    result: Array = special.logsumexp(seen.logits, axis=1)
    return result


OF_LOGITS = {
    "largest probability": Rule((lambda seen: seen.probabilities.max(1),)),
    "largest logit": Rule((lambda seen: seen.logits.max(1),)),
    "energy": Rule((energy,)),
}


def by_keras(path: Path) -> See:
    model = keras_files.load(path)
    last = model.layers[-1]
    features = keras.Model(model.inputs, last.input)
    kernel, bias = (np.asarray(weight, np.float64) for weight in last.get_weights())

    def see(images: Array) -> Seen:
        seen = keras_files.probabilities(features, images)
        logits = seen @ kernel + bias
        return Seen(logits, seen, special.softmax(logits, axis=1))

    return see


def by_int8(data: bytes) -> See:
    """Logits and features are those inside the file, and the probabilities those that it gives."""
    tensors = Interpreter(model_content=data).get_tensor_details()
    *_, dense, softmax, dequantize = operators(data)
    features, logits, probabilities = dense.inputs[0], softmax.inputs[0], dequantize.outputs[0]

    def see(images: Array) -> Seen:
        rows = list(inner_tensors.read(data, [features, logits, probabilities], images))

        def whole(index: int) -> Array:
            return real(np.concatenate([row[index] for row in rows]), tensors[index])

        return Seen(whole(logits), whole(features), whole(probabilities))

    return see


def real(values: Array, tensor: dict[str, Any]) -> Array:
    """The numbers that the values of a tensor stand for."""
    scale, zero = tensor["quantization"]
    result: Array = (values.astype(np.float64) - zero) * (scale or 1.0)
    return result


def operators(data: bytes) -> list[Any]:
    return list(flatbuffer_utils.convert_bytearray_to_object(data).subgraphs[0].operators)


def without_softmax(data: bytes) -> bytes:
    """The same file without its last two operators, so that its output is the logits as int8."""
    model = flatbuffer_utils.convert_bytearray_to_object(data)
    graph = model.subgraphs[0]
    graph.outputs = graph.operators[-2].inputs
    graph.operators = graph.operators[:-2]
    for signature in model.signatureDefs or []:
        signature.outputs[0].tensorIndex = graph.outputs[0]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def by_micro(data: bytes, folder: Path) -> See:
    """The cut file on TensorFlow Lite Micro; it gives no features."""
    path = folder / "cut.tflite"
    path.write_bytes(without_softmax(data))
    (output,) = Interpreter(model_path=str(path)).get_output_details()

    def see(images: Array) -> Seen:
        (numbers,) = rejection.outputs("tflite_micro", path, [images], folder)
        logits = real(numbers, output)
        return Seen(logits, np.empty((len(logits), 0)), special.softmax(logits, axis=1))

    return see


def of_features(training: Seen, labels: Array) -> dict[str, Rule]:
    """Distances to what the file sees in the training images, with means and factor as float32."""
    features = training.features
    means = np.stack([features[labels == label].mean(0) for label in range(labels.max() + 1)])
    covariance = np.cov(features - means[labels], rowvar=False)
    covariance += RIDGE * covariance.diagonal().max() * np.eye(len(covariance))
    whitening = linalg.inv(linalg.cholesky(covariance, lower=True)).T
    size = 4 * (means.size + len(covariance) * (len(covariance) + 1) // 2)

    def euclidean(seen: Seen) -> Array:
        return -nearest(seen.features, means)

    def mahalanobis(seen: Seen) -> Array:
        return -nearest(seen.features @ whitening, means @ whitening)

    return {
        "nearest class mean": Rule((euclidean,), 4 * means.size),
        "Mahalanobis": Rule((mahalanobis,), size),
        "energy, nearest class mean": Rule((energy, euclidean), 4 * means.size),
        "energy, Mahalanobis": Rule((energy, mahalanobis), size),
    }


def nearest(features: Array, means: Array) -> Array:
    """The squared distance (N,) to the nearest of the means (K, D)."""
    products = features @ means.T
    squares = (features**2).sum(1)[:, None] - 2 * products + (means**2).sum(1)
    result: Array = squares.min(1)
    return result


def rows(name: str, see: See, rules: dict[str, Rule], count: int) -> list[list[str]]:
    """The shares of digits lost and of all else rejected, for each rule, as cells of the table."""
    validation, _ = split_files.load_split("validation")
    images, _ = split_files.load_split("test")
    test = np.asarray(images[:count])
    known = see(np.asarray(validation))
    unknown = [see(test), *(see(make(test)[:count]) for make in rejection.STRANGE.values())]
    result = []
    for title, rule in rules.items():
        lost, *others = (rule.rejected(known, seen) for seen in unknown)
        cells = [percent(lost), *(percent(share, 1) for share in others)]
        result.append([name, title, f"{rule.size:,}", *cells])
        print(" | ".join(result[-1]), flush=True)
    return result


def page(cells: list[list[str]], count: int, sizes: tuple[int, int]) -> str:
    text = (
        "# Scores for pictures that are not digits\n\n"
        "`python -m benchmarks.strange_scores` makes this page: the share of the pictures that "
        "each score rejects, with thresholds fitted on the validation set for at least 99 % of the "
        f"digits. {count:,} pictures of each kind, at most {rejection.SLOW:,} on TensorFlow Lite "
        "Micro, which runs the cut file; the distances need four bytes for each number of the "
        f"means, and Mahalanobis half of a symmetric matrix too. The int8 file has {sizes[0]:,} "
        f"bytes, and {sizes[1]:,} when it is cut after the logits.\n\n"
    )
    return f"{text}{table(COLUMNS, cells)}\n\nMeasured on {machine.sentence()}.\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strange_scores")
    parser.add_argument("--images", type=int, default=10_000, help="of each kind, at most")
    count = parser.parse_args().images
    data = ExportReport.load().files[FORMAT].verified().read_bytes()
    training, labels = (np.asarray(part) for part in split_files.load_split("train"))
    cells = []
    for name, see in [(KERAS, by_keras(artifacts.MODEL)), (INSIDE, by_int8(data))]:
        rules = {**OF_LOGITS, **of_features(see(training), labels)}
        cells += rows(name, see, rules, count)
    with tempfile.TemporaryDirectory() as folder:
        micro = by_micro(data, Path(folder))
        cells += rows(CUT, micro, OF_LOGITS, min(count, rejection.SLOW))
    atomic.write_text(PAGE, page(cells, count, (len(data), len(without_softmax(data)))))


if __name__ == "__main__":
    main()
