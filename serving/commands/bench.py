"""`serving bench BUNDLE`: the speed of every file on every runtime of this device."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from typing import Any, Dict

import numpy as np

from serving import commands, runtimes
from serving.classifier import Classifier
from serving.model_card import Tensor

BATCH, BATCH_BYTES = 64, 64 << 20  # images at a time, and fewer of large ones


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    commands.add_choice(parser)
    parser.add_argument(
        "--runs",
        type=commands.count,
        default=200,
        help="single inputs to time, after a warm-up (default %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")


def run(arguments: argparse.Namespace) -> int:
    bundle = commands.open_bundle(arguments)
    for file, runtime in commands.installed_pairs(bundle, arguments):
        classifier = Classifier.load(bundle, file.format, runtime)  # it takes the card's input
        speed = measure_speed(classifier, noise(bundle.card.input), arguments.runs)
        print(json.dumps(speed) if arguments.json else _line(speed), flush=True)
    return 0


def noise(tensor: Tensor) -> Any:
    """A batch of random inputs (N, ...)."""
    size = math.prod(tensor.shape) * np.dtype(tensor.type).itemsize
    batch = max(1, min(BATCH, BATCH_BYTES // size))
    images, random = np.empty((batch, *tensor.shape), tensor.type), np.random.default_rng(0)
    for image in images:  # one by one, as random numbers take more memory
        image[...] = random.uniform(*tensor.range, tensor.shape)
    return images


def measure_speed(classifier: Classifier, images: Any, runs: int) -> Dict[str, Any]:
    """The latency of single images and the throughput of batches, including the API's overhead."""
    times = sorted(runtimes.latencies(classifier.predict, images, runs))
    rounds = max(runs // len(images), 1)
    start = time.perf_counter()
    for _ in range(rounds):
        classifier.predict(images)
    return {
        **commands.pair_facts(classifier.file, classifier.runtime),
        "median_milliseconds": statistics.median(times),
        "p95_milliseconds": times[int(0.95 * (len(times) - 1))],
        "batch": len(images),
        "images_per_second": rounds * len(images) / (time.perf_counter() - start),
    }


def _line(speed: Dict[str, Any]) -> str:
    return (
        f"{speed['format']} on {speed['runtime']} {speed['runtime_version']}: "
        f"{speed['median_milliseconds']:.3f} ms an input "
        f"(95 % within {speed['p95_milliseconds']:.3f}), "
        f"{speed['images_per_second']:,.0f} a second in batches of {speed['batch']}"
    )
