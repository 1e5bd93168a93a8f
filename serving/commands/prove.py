"""`serving prove BUNDLE`: runs the verification gate on this device."""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from serving import acceptance, commands, runtimes
from serving.acceptance import Acceptance
from serving.bundle import Bundle
from serving.classifier import Classifier
from serving.comparison import Comparison, DeviceProof, NumberComparison
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
        help="use only the first N examples of the acceptance set (default: all)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.epilog = (
        "exit status: 0 proven; 3 not shown (too few examples); 1 worse, or it could not run"
    )


def run(arguments: argparse.Namespace) -> int:
    """The exit status of the verdict on the file that `Classifier.load` would choose."""
    try:
        bundle = commands.open_bundle(arguments)
        acceptance_set = load_images(bundle, arguments.images)
        pairs = [
            Attempt.of(bundle, file, runtime, acceptance_set)
            for file, runtime in commands.installed_pairs(bundle, arguments)
        ]
    except ServingError as error:
        if not arguments.json:
            raise
        refused = isinstance(error, BundleError)
        facts = {"state": COULD_NOT_RUN, "refused": refused, "sentence": str(error), **_device()}
        print(json.dumps(facts, indent=2))
        return 1
    best = next((pair for pair in pairs if pair.proof and pair.proof.usable), None)
    ran = (pair.state for pair in pairs if pair.proof)
    state = best.state if best else next(ran, COULD_NOT_RUN)
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
        raise InputError(f"--images {count} is too many: the acceptance set has {size:,} examples")
    return acceptance_set.first(count or size)


@dataclass(frozen=True)
class Attempt:
    """A file on a runtime, as `pair_facts` name it, and the proof if it ran."""

    names: Dict[str, Any]
    sentence: str
    proof: Optional[DeviceProof] = None

    @classmethod
    def of(cls, bundle: Bundle, file: ModelFile, runtime: str, images: Acceptance) -> Attempt:
        names = commands.pair_facts(file, runtime)
        try:
            classifier = Classifier.unchecked(bundle, file, runtime)
            with Progress(f"{file.format} on {runtime}") as progress:
                proof = acceptance.prove(bundle, classifier, images, progress)
        except RuntimeRefusalError as error:
            return cls(names, f"{COULD_NOT_RUN}: {error}")
        return cls(names, acceptance.sentence(proof), proof)

    @property
    def name(self) -> str:
        return f"{self.names['format']} on {self.names['runtime']}"

    @property
    def versioned(self) -> str:
        return f"{self.name} {self.names['runtime_version']}"

    @property
    def state(self) -> str:
        return self.proof.state if self.proof else COULD_NOT_RUN

    @property
    def figures(self) -> Dict[str, Any]:
        """For JSON."""
        known = {"state": self.state, "sentence": self.sentence}
        return {**self.names, **(acceptance.figures(self.proof) if self.proof else known)}


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
        text = f"{self._name}: {done:,} of {total:,} examples, about {left:.0f} s left"
        print(
            f"\r{text} " if self._redraws else text,
            end="" if self._redraws else "\n",
            file=sys.stderr,
            flush=True,
        )


def _line(pair: Attempt) -> str:
    proof = pair.proof
    if proof is None:
        return f"{pair.versioned}: {pair.sentence}"
    comparison = proof.comparison
    if isinstance(comparison, NumberComparison):
        text = _numbers(comparison, proof.unit)
    else:
        text = _accuracy(comparison)
    return (
        f"{pair.versioned}: {PROVEN if pair.state == PROVEN else pair.sentence}\n"
        f"    {text}\n"
        f"    golden vectors within {proof.golden_difference:.1g}; "
        f"{proof.median_milliseconds:.3f} ms an input "
        f"(95 % within {proof.p95_milliseconds:.3f}){_rejection(proof)}"
    )


def _numbers(comparison: NumberComparison, unit: Optional[str]) -> str:
    low, high = comparison.error_interval
    return (
        f"mean absolute error {comparison.error:.4g} {unit} "
        f"(95 % interval {low:.4g} to {high:.4g}), the Keras model {comparison.keras_error:.4g}; "
        f"adds at most {comparison.bound:.3g} {unit} by these examples alone"
    )


def _accuracy(comparison: Comparison) -> str:
    low, high = comparison.accuracy_interval
    metric, judged = comparison.metric, ""
    if metric:
        judged = (
            f"{METRICS[metric.name].words} {100 * metric.value:.2f} %, "
            f"the Keras model {100 * metric.keras_value:.2f} %; judged by it; "
        )
    return (
        f"{judged}accuracy {100 * comparison.accuracy:.2f} % "
        f"(95 % interval {100 * low:.2f} to {100 * high:.2f} %), "
        f"the Keras model {100 * comparison.keras_accuracy:.2f} %; {comparison.counts}: "
        f"loses at most {100 * comparison.bound:.2f} % by these examples alone; "
        f"same class for {100 * comparison.agreement:.2f} %"
    )


def _rejection(proof: DeviceProof) -> str:
    """A line on the images that the file answers, if it may also reject them, or on intervals."""
    images, inside, answered = proof.comparison.images, proof.inside, proof.answered
    if inside is not None:
        return (
            f"\n    {inside:,} of {images:,} true numbers ({100 * inside / images:.2f} %) are "
            f"within {proof.interval:.4g} {proof.unit} of its own"
        )
    if answered is None:
        return ""
    wrong = proof.answered_wrong or 0
    return (
        f"\n    answers {answered:,} of {images:,} examples ({100 * answered / images:.2f} %), "
        f"{wrong:,} of them wrong ({100 * wrong / max(answered, 1):.2f} %); "
        "rejects the others as none of the classes"
    )


def _verdict(bundle: Bundle, best: Optional[Attempt], pairs: List[Attempt]) -> str:
    name = f"{bundle.card.name} {bundle.card.version}"
    if bundle.card.not_proven:
        name += ", a draft, NOT PROVEN by its maker,"
    if best is None:
        first = f"{pairs[0].name}: {pairs[0].sentence}"
        return f"No file of {name} may be used on this device; {first}."
    return f"{name} on this device, as {best.versioned}, is {best.sentence}."


def _facts(bundle: Bundle, best: Optional[Attempt], pairs: List[Attempt]) -> Dict[str, Any]:
    card = bundle.card
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
        "chosen": best.names if best else None,
        "pairs": [pair.figures for pair in pairs],
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
    with suppress(OSError, UnicodeDecodeError):
        return Path("/proc/device-tree/model").read_text(encoding="utf-8").strip("\0\n ")
    with suppress(OSError, UnicodeDecodeError, IndexError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
