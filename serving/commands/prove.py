"""`serving prove BUNDLE`: the gate of verification, run on this device: does each file answer here as the trained model did?

Exit status 0: proven, 3: not shown (too few images to tell), 1: worse, or it could not be tried.
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

from serving import acceptance, commands, preflight, runtimes
from serving.acceptance import Acceptance
from serving.bundle import Bundle
from serving.classifier import Classifier
from serving.errors import InputError, RuntimeRefusalError, ServingError
from serving.gate import COULD_NOT_RUN, NOT_SHOWN, PROVEN
from serving.model_card import ModelFile

STATUS = {PROVEN: 0, NOT_SHOWN: 3}  # of all others 1
LONG_SECONDS = 2.0  # beyond which it is said how long it takes
ESTIMATE_AFTER = 0.5  # seconds, when the pace is known


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    commands.add_choice(parser)
    parser.add_argument(
        "--images",
        type=commands.count,
        metavar="N",
        help="only the first N images of the acceptance set (default: all)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.epilog = "exit status: 0 proven; 3 not shown, as too few images tell; 1 worse, or it could not be tried"


def run(arguments: argparse.Namespace) -> int:
    """The exit status of the verdict on the file that `Classifier.load` would take."""
    try:
        opened = commands.open_bundle(arguments)
        accepted = chosen_images(opened, arguments.images)
        pairs = [
            attempt(opened, file, runtime, accepted)
            for file, runtime in commands.installed_pairs(opened, arguments)
        ]
    except ServingError as error:
        if not arguments.json:
            raise
        print(json.dumps({"state": COULD_NOT_RUN, "sentence": str(error), **_device()}, indent=2))
        return 1
    best = next((pair for pair in pairs if acceptance.usable(pair)), None)
    state = (
        best["state"]
        if best
        else max((pair["state"] for pair in pairs), key=lambda state: state != COULD_NOT_RUN)
    )
    if arguments.json:
        facts = {
            "state": state,
            "sentence": _verdict(opened, best, pairs),
            **_facts(opened, best, pairs),
        }
        print(json.dumps(_finite(facts), indent=2))
    else:
        print("\n".join([*map(_line, pairs), _verdict(opened, best, pairs)]))
    return STATUS.get(state, 1)


def chosen_images(opened: Bundle, count: Optional[int]) -> Acceptance:
    """The acceptance set, or the first `count` images of it. Raises BundleError, InputError."""
    accepted = Acceptance.load(opened)
    if count is not None and count > len(accepted.labels):
        raise InputError(
            f"--images {count} is too many: the acceptance set has {len(accepted.labels):,} images"
        )
    return accepted.first(count or len(accepted.labels))


def attempt(opened: Bundle, file: ModelFile, runtime: str, accepted: Acceptance) -> Dict[str, Any]:
    """The facts of one pair, or the reason why it could not run."""
    installed = runtimes.version(runtime)
    facts: Dict[str, Any] = {
        "format": file.format,
        "runtime": runtime,
        "runtime_version": installed,
    }
    refused = preflight.refusals(file.requirements, runtime, installed)
    try:
        if refused:
            raise RuntimeRefusalError("; ".join(refused))
        classifier = Classifier.unchecked(opened, file, runtime)
        with Progress(f"{file.format} on {runtime}") as progress:
            return {**facts, **acceptance.prove(opened, classifier, accepted, progress)}
    except RuntimeRefusalError as error:
        return {**facts, "state": COULD_NOT_RUN, "sentence": f"{COULD_NOT_RUN}: {error}"}


class Progress:
    """Says on stderr how long a pair takes, once its pace is known and if it is long, and how far it is."""

    def __init__(self, name: str) -> None:
        self._name, self._told, self._said = name, 0.0, False
        self._redraws = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._said and self._redraws:
            print(file=sys.stderr)

    def __call__(self, done: int, total: int, seconds: float) -> None:
        if seconds < ESTIMATE_AFTER or (
            self._said and time.perf_counter() - self._told < (0.2 if self._redraws else 10)
        ):
            return
        left = seconds / done * (total - done)
        if not self._said and seconds + left < LONG_SECONDS:
            return
        self._said, self._told = True, time.perf_counter()
        text = f"{self._name}: {done:,} of {total:,} images, some {left:.0f} s left"
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
    low, high = pair["accuracy_interval"]
    return (
        f"{name}: {pair['state'] if pair['state'] == PROVEN else pair['sentence']}\n"
        f"    accuracy {100 * pair['accuracy']:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f} %), "
        f"the trained model {100 * pair['keras_accuracy']:.2f} %; {pair['lost']:,} images lost, {pair['gained']:,} gained: "
        f"loses at most {100 * pair['accuracy_lost_bound']:.2f} % by these images alone; same class for {100 * pair['agreement']:.2f} %\n"
        f"    golden vectors within {pair['golden_difference']:.1g}; {pair['median_milliseconds']:.3f} ms an image "
        f"(95 % within {pair['p95_milliseconds']:.3f})"
    )


def _verdict(opened: Bundle, best: Optional[Dict[str, Any]], pairs: List[Dict[str, Any]]) -> str:
    name = f"{opened.card.name} {opened.card.version}"
    if opened.card.not_proven:
        name += ", a draft, NOT PROVEN by its maker,"
    if best is None:
        first = f"{pairs[0]['format']} on {pairs[0]['runtime']}: {pairs[0]['sentence']}"
        return f"No file of {name} may be used on this device; {first}."
    return f"{name} on this device, as {best['format']} on {best['runtime']} {best['runtime_version']}, is {best['sentence']}."


def _facts(
    opened: Bundle, best: Optional[Dict[str, Any]], pairs: List[Dict[str, Any]]
) -> Dict[str, Any]:
    card = opened.card
    return {
        **_device(),
        "bundle": {
            "name": card.name,
            "version": card.version,
            "path": str(opened.path),
            "signed": opened.signed,
            "model_sha256": card.provenance.get("model_sha256"),
            "not_proven": card.not_proven,
        },
        "chosen": {name: best[name] for name in ("format", "runtime", "runtime_version")}
        if best
        else None,
        "pairs": pairs,
    }


def _finite(value: Any) -> Any:
    """The same with null for what is not a finite number, which JSON does not know."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _device() -> Dict[str, Any]:
    """What tells one device of a fleet from another."""
    installed = {name: runtimes.version(name) for name in sorted(runtimes.DISTRIBUTIONS)}
    return {
        "device": {
            "processor": _processor(),
            "machine": platform.machine(),
            "system": platform.platform(),
        },
        "versions": {
            "serving": _serving_version(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            **{name: version for name, version in installed.items() if version},
        },
    }


def _serving_version() -> Optional[str]:
    import importlib.metadata

    try:
        return importlib.metadata.version("serving")
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's or, on Arm, the board's name as the system gives it."""
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
