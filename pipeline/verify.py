"""Stage 7: every exported file on every runtime that can read it, on the whole test set, against the Keras model.

    python -m pipeline.verify

Reads: exported/, evaluation/test_probabilities.npy, data/prepared/test. Writes: evaluation/golden.npz, reports/verify.json.
Every pair is tried; then the exit status tells whether each passed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from pipeline import artifacts, environments, measurements, metrics, params, preflight, stage, tracking
from pipeline.artifacts import Array
from pipeline.params import Params
from pipeline.stage import UserError
from serving import runtimes

IMAGES = artifacts.PREPARED / "test" / "images.npy"
LARGEST_SECONDS = 1800
GOLDEN_IMAGES = 16


@dataclass(frozen=True)
class Pair:
    """A file and a runtime to try it on; `count` test images where the runtime is too slow for all."""

    format: str
    file: Path
    runtime: str
    count: int
    max_accuracy_drop: float

    @property
    def name(self) -> str:
        return f"{self.format} on {self.runtime}"


def pairs(files: dict[str, Path], chosen: Params, images: int) -> list[Pair]:
    result = []
    for name, file in files.items():
        for runtime in chosen.verify.runtimes:
            if runtimes.SUFFIXES[runtime] != file.suffix or (runtime == "tflite_micro" and name != "tflite_int8"):
                continue
            micro = runtime == "tflite_micro"
            count = min(chosen.verify.micro_images, images) if micro else images
            drop = chosen.verify.micro_max_accuracy_drop if micro else chosen.export.max_accuracy_drop
            result.append(Pair(name, file, runtime, count, drop))
    return result


def measure(pair: Pair, python: Path, *options: str) -> dict[str, Any] | str:
    """Runs serving.measure in the runtime's own process; its answer, or the reason why there is none."""
    command = [str(python), "-m", "serving.measure", pair.runtime, str(pair.file), str(IMAGES), "--count", str(pair.count), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LARGEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {LARGEST_SECONDS} seconds"
    if done.returncode < 0:
        return f"the runtime died with signal {-done.returncode}"
    if done.returncode:
        return " ".join(done.stderr.strip().splitlines()[-1:]) or f"exit status {done.returncode}"
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def compare(probabilities: Array, reference: Array, labels: Array, max_accuracy_drop: float) -> dict[str, Any]:
    """The gate: probabilities (N, K) of the file against those of the Keras model on the same images, pair by pair."""
    predictions, expected = probabilities.argmax(1), reference.argmax(1)
    right, reference_right = predictions == labels, expected == labels
    lost, gained = int((reference_right & ~right).sum()), int((right & ~reference_right).sum())
    difference = np.abs(probabilities - reference)
    bound = metrics.accuracy_lost_bound(lost, gained, len(labels))
    own, keras = metrics.accuracy_report(predictions, labels), metrics.accuracy_report(expected, labels)
    return {
        "state": "passed" if bound <= max_accuracy_drop and np.isfinite(probabilities).all() else "failed",
        "images": len(labels),
        "accuracy": own["accuracy"],
        "accuracy_interval": own["interval"],
        "keras_accuracy": keras["accuracy"],
        "keras_accuracy_interval": keras["interval"],
        "lost": lost,
        "gained": gained,
        "mcnemar_p_value": metrics.mcnemar(lost, gained),
        "accuracy_lost": (lost - gained) / len(labels),
        "accuracy_lost_bound": bound,
        "max_accuracy_drop": max_accuracy_drop,
        "agreement": float((predictions == expected).mean()),
        "largest_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
    }


def try_pair(pair: Pair, python: Path | str, reference: Array, labels: Array) -> tuple[dict[str, Any], Array | None]:
    """The verdict on one pair, and the probabilities it gave."""
    facts: dict[str, Any] = {"format": pair.format, "runtime": pair.runtime, "bytes": pair.file.stat().st_size}
    if isinstance(python, str):
        return {**facts, "state": "could not run", "reason": python}, None
    version = runtime_version(pair.runtime, python)
    requirements = preflight.read(pair.file)
    facts |= {"runtime_version": version, "preflight": asdict(requirements)}
    refusals = preflight.refusals(requirements, pair.runtime, version)
    if refusals:
        return {**facts, "state": "could not run", "reason": "; ".join(refusals)}, None
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "probabilities.npy"
        answer = measure(pair, python, "--probabilities", str(output))
        if isinstance(answer, str):
            return {**facts, "state": "could not run", "reason": answer}, None
        probabilities = np.load(output)
    if "arena_bytes" in answer:
        facts["arena_bytes"] = answer["arena_bytes"]
    verdict = compare(probabilities, reference[: pair.count], labels[: pair.count], pair.max_accuracy_drop)
    return {**facts, **verdict}, probabilities


def runtime_version(runtime: str, python: Path) -> str:
    code = f"from serving import runtimes; print(runtimes.version({runtime!r}))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def latency(pair: Pair, python: Path, version: str, runs: int) -> dict[str, Any]:
    """Median and 95th percentile of single images on one thread, on this processor; remembered per file, runtime and runs."""
    key = f"latency-{measurements.digest([artifacts.sha256(pair.file), pair.runtime, version, str(runs)])}"
    measured = measurements.recall(key)
    if measured is None:
        answer = measure(pair, python, "--latency", str(runs))
        if isinstance(answer, str):
            return {"latency_reason": answer}
        times = sorted(answer["milliseconds"])
        measured = measurements.remember(
            key,
            {
                "median_milliseconds": statistics.median(times),
                "p95_milliseconds": times[int(0.95 * (len(times) - 1))],
                "processor": measurements.processor(),
            },
        )
    return dict(measured)


def exported_files() -> dict[str, Path]:
    """The files that export wrote, each checked against its checksum. Raises UserError."""
    report = artifacts.load_json(artifacts.report("export"))
    files = {name: artifacts.EXPORTED / entry["file"] for name, entry in report["formats"].items()}
    for name, file in files.items():
        if artifacts.sha256(file) != report["formats"][name]["sha256"]:
            raise UserError(f"{file} is not the file that export wrote (its SHA-256 differs); run `dvc repro export`")
    return files


def golden_rows(labels: Array) -> Array:
    """Row numbers of test images spread evenly over the classes."""
    by_class = np.argsort(labels, kind="stable")
    return np.sort(by_class[np.linspace(0, len(labels) - 1, min(GOLDEN_IMAGES, len(labels)), dtype=int)])


def environment(runtime: str) -> Path | str:
    try:
        return environments.python(runtime)
    except OSError as error:
        return str(error)


def main() -> None:
    chosen = params.load()
    images, labels = artifacts.load_split("test")
    reference = artifacts.load_array(artifacts.TEST_PROBABILITIES)
    tried = pairs(exported_files(), chosen, len(labels))
    pythons: dict[str, Path | str] = {runtime: environment(runtime) for runtime in chosen.verify.runtimes}
    results: list[dict[str, Any]] = []
    rows = golden_rows(labels)
    golden: dict[str, Any] = {"images": images[rows], "labels": labels[rows]}
    with Progress(transient=True) as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
        task = progress.add_task("verifying", total=2 * len(tried))
        for pair, (result, probabilities) in zip(
            tried, pool.map(lambda pair: try_pair(pair, pythons[pair.runtime], reference, labels), tried), strict=True
        ):
            results.append(result)
            if result["state"] == "passed" and probabilities is not None and len(probabilities) == len(labels):
                golden.setdefault(pair.format, probabilities[rows])
            progress.advance(task)
        pool.shutdown()  # latency is measured on an otherwise idle machine
        for index, pair in enumerate(tried):
            python = pythons[pair.runtime]
            if results[index]["state"] != "could not run" and isinstance(python, Path):
                results[index] |= latency(pair, python, results[index]["runtime_version"], chosen.verify.latency_runs)
            progress.advance(task)
    with stage.replacing(artifacts.GOLDEN) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **golden)
    artifacts.save_json(artifacts.report("verify"), {"model_sha256": artifacts.sha256(artifacts.MODEL), "pairs": results})
    tracking.sync()
    for pair, result in zip(tried, results, strict=True):
        lost = f": loses at most {result['accuracy_lost_bound']:.4f}" if "accuracy_lost_bound" in result else f": {result['reason']}"
        print(f"{pair.name}: {result['state']}{lost}")
    bad = [pair.name for pair, result in zip(tried, results, strict=True) if result["state"] != "passed"]
    if bad:
        raise UserError(f"not every required pair passed: {', '.join(bad)}; {artifacts.report('verify')} tells why")


if __name__ == "__main__":
    stage.run(main)
