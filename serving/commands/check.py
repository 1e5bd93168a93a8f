"""`serving check BUNDLE`: may this device run it?

Checksums, signature, preflight, golden vectors, and a latency.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any, Dict, List, Optional

import numpy as np

from serving import commands, runtimes
from serving.bundle import Bundle
from serving.classifier import Classifier
from serving.errors import RuntimeRefusalError, ServingError, printable
from serving.model_file import ModelFile

LATENCY_RUNS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    commands.add_choice(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """0 if the device may run the bundle, else 1."""
    try:
        bundle = commands.open_bundle(arguments)
        pairs = commands.installed_pairs(bundle, arguments)
        results = [examine(bundle, file, runtime) for file, runtime in pairs]
    except ServingError as error:
        if arguments.json:
            print(json.dumps({"may_run": False, "reason": str(error)}))
        else:
            print(f"This device may not run it: {error}.")
        return 1
    best = next((result for result in results if "reason" not in result), None)
    if arguments.json:
        facts = {
            "bundle": str(bundle.path),
            "signed": bundle.signed,
            "files": len(bundle.digests),
            "not_proven": bundle.card.not_proven,
        }
        print(json.dumps({"may_run": best is not None, **facts, "results": results}, indent=2))
    else:
        single = bundle.card.kind.single
        lines = [
            _checksums(bundle),
            *(_line(result, single) for result in results),
            _verdict(bundle, best, results),
        ]
        print("\n".join(lines))
    return 0 if best else 1


def examine(bundle: Bundle, file: ModelFile, runtime: str) -> Dict[str, Any]:
    """The golden vectors and latency of one file on one runtime, or why it may not run."""
    facts = commands.pair_facts(file, runtime)
    try:
        classifier = Classifier.unchecked(bundle, file, runtime)
        facts["golden_difference"] = classifier.check_golden(bundle)
    except RuntimeRefusalError as error:
        return {**facts, "reason": str(error)}
    images = np.zeros((1, *bundle.card.input_shape), bundle.card.input.type)
    times = runtimes.latencies(classifier.predict, images, LATENCY_RUNS)
    return {**facts, "median_milliseconds": statistics.median(times)}


def _checksums(bundle: Bundle) -> str:
    signature = "and the signature holds" if bundle.signed else "no signature required (--trust)"
    return f"{printable(str(bundle.path))}: {len(bundle.digests)} files, undamaged; {signature}"


def _line(result: Dict[str, Any], single: str) -> str:
    pair = printable(f"{result['format']} on {result['runtime']} {result['runtime_version']}")
    if "reason" in result:
        return f"{pair}: no: {printable(result['reason'])}"
    return (
        f"{pair}: golden vectors within {result['golden_difference']:.1g}, "
        f"{result['median_milliseconds']:.3f} ms {single}"
    )


def _verdict(bundle: Bundle, best: Optional[Dict[str, Any]], results: List[Dict[str, Any]]) -> str:
    name = ", ".join(filter(None, [f"{bundle.card.name} {bundle.card.version}", bundle.card.draft]))
    if best is None:
        return f"This device may not run {name}: {printable(results[0]['reason'])}."
    return (
        f"This device may run {name}: {printable(best['format'])} on {best['runtime']} "
        f"{best['runtime_version']}, {best['median_milliseconds']:.3f} ms "
        f"{bundle.card.kind.single}."
    )
