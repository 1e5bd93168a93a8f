"""`serving check BUNDLE`: may this device run it? Checksums, signature, preflight, golden vectors and a latency."""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any, Dict

import numpy as np

from serving import commands, measure, preflight, runtimes
from serving.bundle import Bundle
from serving.classifier import Classifier
from serving.errors import RuntimeRefusalError, ServingError, printable
from serving.model_card import ModelFile

LATENCY_RUNS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    commands.add_choice(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """0 where the device may run the bundle, else 1."""
    try:
        opened = commands.open_bundle(arguments)
        results = [
            examine(opened, file, runtime)
            for file, runtime in commands.installed_pairs(opened, arguments)
        ]
    except ServingError as error:
        print(
            json.dumps({"may_run": False, "reason": str(error)})
            if arguments.json
            else f"This device may not run it: {error}."
        )
        return 1
    best = next((result for result in results if "reason" not in result), None)
    if arguments.json:
        facts = {
            "bundle": str(opened.path),
            "signed": opened.signed,
            "files": len(opened.digests),
            "not_proven": opened.card.not_proven,
        }
        print(json.dumps({"may_run": best is not None, **facts, "results": results}, indent=2))
    else:
        print(
            "\n".join([_checksums(opened), *map(_line, results), _verdict(opened, best, results)])
        )
    return 0 if best else 1


def examine(opened: Bundle, file: ModelFile, runtime: str) -> Dict[str, Any]:
    """One file on one runtime: its golden vectors and latency, or the reason why it may not run."""
    installed = runtimes.version(runtime)
    facts: Dict[str, Any] = {
        "format": file.format,
        "runtime": runtime,
        "runtime_version": installed,
    }
    refused = preflight.refusals(file.requirements, runtime, installed)
    if refused:
        return {**facts, "reason": "; ".join(refused)}
    try:
        classifier = Classifier.unchecked(opened, file, runtime)
        facts["golden_difference"] = classifier.check_golden(opened)
    except RuntimeRefusalError as error:
        return {**facts, "reason": str(error)}
    images = np.zeros((1, *opened.card.input_shape), opened.card.input.type)
    return {
        **facts,
        "median_milliseconds": statistics.median(
            measure.latencies(classifier.predict, images, LATENCY_RUNS)
        ),
    }


def _checksums(opened: Bundle) -> str:
    signed = "and the signature holds" if opened.signed else "no signature was asked for (--trust)"
    return f"{printable(str(opened.path))}: {len(opened.digests)} files, each with its SHA-256; {signed}"


def _line(result: Dict[str, Any]) -> str:
    pair = printable(f"{result['format']} on {result['runtime']} {result['runtime_version']}")
    if "reason" in result:
        return f"{pair}: no: {printable(result['reason'])}"
    return f"{pair}: golden vectors within {result['golden_difference']:.1g}, {result['median_milliseconds']:.3f} ms an image"


def _verdict(opened: Bundle, best: Any, results: Any) -> str:
    name = ", ".join(filter(None, [f"{opened.card.name} {opened.card.version}", opened.card.draft]))
    if best is None:
        return f"This device may not run {name}: {printable(results[0]['reason'])}."
    return (
        f"This device may run {name}: {printable(best['format'])} on {best['runtime']} {best['runtime_version']}, "
        f"{best['median_milliseconds']:.3f} ms an image."
    )
