"""`serving prove BUNDLE`: runs the verification gate on this device.

Exit status 0: proven, 3: not shown (too few images), 1: worse, or it could not run.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from serving import acceptance, commands, runtimes
from serving.acceptance import Acceptance
from serving.bundle import Bundle
from serving.classifier import Classifier
from serving.errors import BundleError, InputError, RuntimeRefusalError, ServingError
from serving.gate import COULD_NOT_RUN, NOT_SHOWN, PROVEN
from serving.metric import METRICS
from serving.model_file import ModelFile

STATUS = {PROVEN: 0, NOT_SHOWN: 3}  # else 1
LONG_SECONDS = 2.0  # shorter work is not announced
ESTIMATE_AFTER = 0.5  # seconds, when the pace is known
REDRAW_SECONDS, REPEAT_SECONDS = 0.2, 10.0  # between messages on a terminal, and in a log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    commands.add_choice(parser)
    parser.add_argument(
        "--images",
        type=commands.count,
        metavar="N",
        help="use only the first N images of the acceptance set (default: all)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.epilog = (
        "exit status: 0 proven; 3 not shown (too few images); 1 worse, or it could not run"
    )


def run(arguments: argparse.Namespace) -> int:
    """The exit status of the verdict on the file that `Classifier.load` would choose."""
    try:
        bundle = commands.open_bundle(arguments)
        acceptance_set = load_images(bundle, arguments.images)
        pairs = [
            attempt(bundle, file, runtime, acceptance_set)
            for file, runtime in commands.installed_pairs(bundle, arguments)
        ]
    except ServingError as error:
        if not arguments.json:
            raise
        refused = isinstance(error, BundleError)
        facts = {"state": COULD_NOT_RUN, "refused": refused, "sentence": str(error), **_device()}
        print(json.dumps(facts, indent=2))
        return 1
    best = next((pair for pair in pairs if acceptance.usable(pair)), None)
    if best:
        state = best["state"]
    else:
        state = max((pair["state"] for pair in pairs), key=lambda state: state != COULD_NOT_RUN)
    verdict = _verdict(bundle, best, pairs)
    if arguments.json:
        facts = {"state": state, "sentence": verdict, **_facts(bundle, best, pairs)}
        print(json.dumps(_finite(facts), indent=2))
    else:
        print("\n".join([*map(_line, pairs), verdict]))
    return STATUS.get(state, 1)


def load_images(bundle: Bundle, count: Optional[int]) -> Acceptance:
    """The acceptance set, or its first `count` images. Raises BundleError, InputError."""
    acceptance_set = Acceptance.load(bundle)
    size = len(acceptance_set.labels)
    if count is not None and count > size:
        raise InputError(f"--images {count} is too many: the acceptance set has {size:,} images")
    return acceptance_set.first(count or size)


def attempt(
    bundle: Bundle, file: ModelFile, runtime: str, acceptance_set: Acceptance
) -> Dict[str, Any]:
    """The facts of one pair, or why it could not run."""
    facts = commands.pair_facts(file, runtime)
    try:
        classifier = Classifier.unchecked(bundle, file, runtime)
        with Progress(f"{file.format} on {runtime}") as progress:
            return {**facts, **acceptance.prove(bundle, classifier, acceptance_set, progress)}
    except RuntimeRefusalError as error:
        return {**facts, "state": COULD_NOT_RUN, "sentence": f"{COULD_NOT_RUN}: {error}"}


class Progress:
    """Reports on stderr the progress of a pair that takes long, once its pace is known."""

    def __init__(self, name: str) -> None:
        self._name, self._last, self._started = name, 0.0, False
        self._redraws = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._started and self._redraws:
            print(file=sys.stderr)

    def __call__(self, done: int, total: int, seconds: float) -> None:
        pause = REDRAW_SECONDS if self._redraws else REPEAT_SECONDS
        if seconds < ESTIMATE_AFTER:
            return
        if self._started and time.perf_counter() - self._last < pause:
            return
        left = seconds / done * (total - done)
        if not self._started and seconds + left < LONG_SECONDS:
            return
        self._started, self._last = True, time.perf_counter()
        text = f"{self._name}: {done:,} of {total:,} images, about {left:.0f} s left"
        print(
            f"\r{text} " if self._redraws else text,
            end="" if self._redraws else "\n",
            file=sys.stderr,
            flush=True,
        )


def _line(pair: Dict[str, Any]) -> str:
    name = f"{pair['format']} on {pair['runtime']} {pair['runtime_version']}"
    if pair["state"] == COULD_NOT_RUN:
        return f"{name}: {pair['sentence']}"
    name = f"{name}: {pair['state'] if pair['state'] == PROVEN else pair['sentence']}\n"
    return (
        f"{name}    {_numbers(pair) if 'unit' in pair else _accuracy(pair)}\n"
        f"    golden vectors within {pair['golden_difference']:.1g}; "
        f"{pair['median_milliseconds']:.3f} ms an image "
        f"(95 % within {pair['p95_milliseconds']:.3f}){_rejection(pair)}"
    )


def _numbers(pair: Dict[str, Any]) -> str:
    low, high = pair["error_interval"]
    return (
        f"mean absolute error {pair['error']:.4g} {pair['unit']} "
        f"(95 % interval {low:.4g} to {high:.4g}), the Keras model {pair['keras_error']:.4g}; "
        f"adds at most {pair['error_added_bound']:.3g} {pair['unit']} by these images alone"
    )


def _accuracy(pair: Dict[str, Any]) -> str:
    low, high = pair["accuracy_interval"]
    bound, judged = pair["accuracy_lost_bound"], ""
    if "metric" in pair:
        metric = pair["metric"]
        bound, words = metric["lost_bound"], METRICS[metric["name"]].words
        judged = (
            f"{words} {100 * metric['value']:.2f} %, "
            f"the Keras model {100 * metric['keras_value']:.2f} %; judged by it; "
        )
    return (
        f"{judged}accuracy {100 * pair['accuracy']:.2f} % "
        f"(95 % interval {100 * low:.2f} to {100 * high:.2f} %), "
        f"the Keras model {100 * pair['keras_accuracy']:.2f} %; "
        f"{pair['lost']:,} of {pair['images']:,} images lost, {pair['gained']:,} gained: "
        f"loses at most {100 * bound:.2f} % by these images alone; "
        f"same class for {100 * pair['agreement']:.2f} %"
    )


def _rejection(pair: Dict[str, Any]) -> str:
    """A line on the images that the file answers, if it may also reject them, or on intervals."""
    if "inside" in pair:
        inside, images = pair["inside"], pair["images"]
        return (
            f"\n    {inside:,} of {images:,} true numbers ({100 * inside / images:.2f} %) are "
            f"within {pair['interval']:.4g} {pair['unit']} of its own"
        )
    if "answered" not in pair:
        return ""
    answered, wrong, images = pair["answered"], pair["answered_wrong"], pair["images"]
    return (
        f"\n    answers {answered:,} of {images:,} images ({100 * answered / images:.2f} %), "
        f"{wrong:,} of them wrong ({100 * wrong / max(answered, 1):.2f} %); "
        "rejects the others as none of the classes"
    )


def _verdict(bundle: Bundle, best: Optional[Dict[str, Any]], pairs: List[Dict[str, Any]]) -> str:
    name = f"{bundle.card.name} {bundle.card.version}"
    if bundle.card.not_proven:
        name += ", a draft, NOT PROVEN by its maker,"
    if best is None:
        first = f"{pairs[0]['format']} on {pairs[0]['runtime']}: {pairs[0]['sentence']}"
        return f"No file of {name} may be used on this device; {first}."
    pair = f"{best['format']} on {best['runtime']} {best['runtime_version']}"
    return f"{name} on this device, as {pair}, is {best['sentence']}."


def _facts(
    bundle: Bundle, best: Optional[Dict[str, Any]], pairs: List[Dict[str, Any]]
) -> Dict[str, Any]:
    card, best_file = bundle.card, None
    if best:
        best_file = {name: best[name] for name in ("format", "runtime", "runtime_version")}
    return {
        **_device(),
        "bundle": {
            "name": card.name,
            "version": card.version,
            "path": str(bundle.path),
            "signed": bundle.signed,
            "model_sha256": card.provenance.get("model_sha256"),
            "not_proven": card.not_proven,
        },
        "chosen": best_file,
        "pairs": pairs,
    }


def _finite(value: Any) -> Any:
    """The same with None for NaN and infinities, which JSON lacks."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _device() -> Dict[str, Any]:
    """Distinguishes the devices of a fleet."""
    versions = {name: runtimes.version(name) for name in sorted(runtimes.DISTRIBUTIONS)}
    return {
        "device": {
            "processor": _processor(),
            "machine": platform.machine(),
            "system": platform.platform(),
        },
        "versions": {
            "serving": runtimes.installed("serving"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            **{name: version for name, version in versions.items() if version},
        },
    }


def _processor() -> str:
    """The name of the processor or, on Arm, of the board, from the system."""
    try:
        return Path("/proc/device-tree/model").read_text(encoding="utf-8").strip("\0\n ")
    except (OSError, UnicodeDecodeError):
        pass
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except (OSError, UnicodeDecodeError, IndexError):
        pass
    return platform.processor() or platform.machine()
