"""`serving bench BUNDLE`: the latency of single images, as this device has it."""

from __future__ import annotations

import argparse
import json
import statistics

import numpy as np

from serving import measure, runtimes
from serving.classifier import Classifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", help="the .tar.gz, or its unpacked folder")
    parser.add_argument("--format", help="only this format of the bundle")
    parser.add_argument("--runtime", choices=sorted(runtimes.DISTRIBUTIONS), help="only this runtime")
    parser.add_argument("--runs", type=int, default=200, help="single images to time, after a warm-up (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object for each file and runtime")


def run(arguments: argparse.Namespace) -> int:
    classifier = Classifier.load(arguments.bundle, arguments.format, arguments.runtime)
    images = np.random.default_rng(0).integers(0, 256, (16, *classifier.card.input_shape)).astype(np.uint8)
    times = sorted(measure.latencies(classifier.predict, images, arguments.runs))
    result = {
        "format": classifier.file.format,
        "runtime": classifier.runtime,
        "runtime_version": runtimes.version(classifier.runtime),
        "median_milliseconds": statistics.median(times),
        "p95_milliseconds": times[int(0.95 * (len(times) - 1))],
    }
    print(json.dumps(result) if arguments.json else f"{result['format']} on {result['runtime']}: {result['median_milliseconds']:.3f} ms")
    return 0
