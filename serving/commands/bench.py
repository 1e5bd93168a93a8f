"""`serving bench BUNDLE`: how fast every file is on every runtime that this device has."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any, Dict

import numpy as np

from serving import commands, measure, runtimes
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
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(arguments: argparse.Namespace) -> int:
    opened = commands.open_bundle(arguments)
    given = opened.card.input
    images = (
        np.random.default_rng(0)
        .integers(0, int(given.range[1]) + 1, (BATCH, *given.shape))
        .astype(given.type)
    )
    for file, runtime in commands.installed_pairs(opened, arguments):
        result = measured(Classifier.load(opened, file.format, runtime), images, arguments.runs)
        if arguments.json:
            print(json.dumps(result), flush=True)
        else:
            print(
                f"{result['format']} on {result['runtime']} {result['runtime_version']}: {result['median_milliseconds']:.3f} ms an image "
                f"(95 % within {result['p95_milliseconds']:.3f}), {result['images_per_second']:,.0f} images a second in batches of {BATCH}",
                flush=True,
            )
    return 0


def measured(classifier: Classifier, images: Any, runs: int) -> Dict[str, Any]:
    """The latency of single images and the throughput of batches; of the API, not of the bare interpreter."""
    times = sorted(measure.latencies(classifier.predict, images, runs))
    rounds = max(runs // BATCH, 1)
    start = time.perf_counter()
    for _ in range(rounds):
        classifier.predict(images)
    return {
        "format": classifier.file.format,
        "runtime": classifier.runtime,
        "runtime_version": runtimes.version(classifier.runtime),
        "median_milliseconds": statistics.median(times),
        "p95_milliseconds": times[int(0.95 * (len(times) - 1))],
        "images_per_second": rounds * len(images) / (time.perf_counter() - start),
    }
