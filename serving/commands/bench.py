"""`serving bench BUNDLE`: the speed of every file on every runtime of this device."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any, Dict

import numpy as np

from serving import commands, runtimes
from serving.classifier import Classifier

BATCH = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    commands.add_choice(parser)
    parser.add_argument(
        "--runs",
        type=commands.count,
        default=200,
        help="single images to time, after a warm-up (default %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")


def run(arguments: argparse.Namespace) -> int:
    bundle = commands.open_bundle(arguments)
    tensor = bundle.card.input
    random = np.random.default_rng(0)
    images = random.integers(0, int(tensor.range[1]) + 1, (BATCH, *tensor.shape))
    images = images.astype(tensor.type)
    for file, runtime in commands.installed_pairs(bundle, arguments):
        classifier = Classifier.load(bundle, file.format, runtime)
        speed = measure_speed(classifier, images, arguments.runs)
        print(json.dumps(speed) if arguments.json else _line(speed), flush=True)
    return 0


def measure_speed(classifier: Classifier, images: Any, runs: int) -> Dict[str, Any]:
    """The latency of single images and the throughput of batches, including the API's overhead."""
    times = sorted(runtimes.latencies(classifier.predict, images, runs))
    rounds = max(runs // BATCH, 1)
    start = time.perf_counter()
    for _ in range(rounds):
        classifier.predict(images)
    return {
        **commands.pair_facts(classifier.file, classifier.runtime),
        "median_milliseconds": statistics.median(times),
        "p95_milliseconds": times[int(0.95 * (len(times) - 1))],
        "images_per_second": rounds * len(images) / (time.perf_counter() - start),
    }


def _line(speed: Dict[str, Any]) -> str:
    return (
        f"{speed['format']} on {speed['runtime']} {speed['runtime_version']}: "
        f"{speed['median_milliseconds']:.3f} ms an image "
        f"(95 % within {speed['p95_milliseconds']:.3f}), "
        f"{speed['images_per_second']:,.0f} images a second in batches of {BATCH}"
    )
