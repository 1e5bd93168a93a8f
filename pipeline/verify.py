"""Stage 7: every exported file on every runtime that can read it, on the whole test set, against the Keras model.

    python -m pipeline.verify

Reads: exported/, evaluation/test_probabilities.npy, data/prepared/test. Writes: evaluation/golden.npz, reports/verify.json.
Every pair is tried; then the exit status tells whether each passed.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from pipeline import artifacts, environments, measurements, metrics, model_file, params, stage, tracking
from pipeline.artifacts import Array
from pipeline.params import Params
from pipeline.runtime_process import RuntimeProcess
from pipeline.stage import UserError
from serving import preflight, runtimes

IMAGES = artifacts.PREPARED / "test" / "images.npy"
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


class Trial:
    """A pair put to the test. `facts` is its row of the report; `probabilities` (N, K) is what it answered, if it did."""

    def __init__(self, pair: Pair, environment: Path | str) -> None:
        self.pair, self.environment = pair, environment
        self.facts: dict[str, Any] = {"format": pair.format, "runtime": pair.runtime, "bytes": pair.file.stat().st_size}
        self.probabilities: Array | None = None
        self._process: RuntimeProcess | None = None

    def run(self, reference: Array, labels: Array) -> None:
        """The preflight, the answers on the test images and the verdict on them. The process stays for the latency."""
        reason = self._ask()
        if reason:
            self.facts |= {"state": "could not run", "reason": reason}
        if self.probabilities is not None:
            count = self.pair.count
            self.facts |= compare(self.probabilities, reference[:count], labels[:count], self.pair.max_accuracy_drop)
            needed = metrics.images_needed(self.pair.max_accuracy_drop)
            if self.facts["state"] == "failed" and count < needed:
                self.facts["reason"] = (
                    f"{count} test images can prove no loss below {metrics.accuracy_lost_bound(0, 0, count):.4f}, and "
                    f"{self.pair.max_accuracy_drop} is allowed; bring {needed:,} of them, or allow more"
                )

    def _ask(self) -> str:
        """Fills `probabilities`, or returns the reason why it cannot."""
        if isinstance(self.environment, str):
            return self.environment
        version = environments.version(self.pair.runtime)
        requirements, problems = model_file.read(self.pair.file)
        self.facts |= {"runtime_version": version, "requirements": asdict(requirements)}
        refusals = [*problems, *preflight.refusals(requirements, self.pair.runtime, version)]
        if refusals:
            return "; ".join(refusals)
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "probabilities.npy"
            arguments: list[str | Path] = [
                self.pair.runtime,
                self.pair.file,
                IMAGES,
                "--count",
                str(self.pair.count),
                "--probabilities",
                output,
            ]
            self._process = RuntimeProcess(self.environment, *arguments)
            answer = self._process.answer()
            if isinstance(answer, str):
                return answer
            self.facts |= answer
            self.probabilities = np.load(output)
        return ""

    def time(self, runs: int) -> None:
        """Median and 95th percentile of single images on one thread, on this processor; remembered per file, runtime and runs."""
        if self._process is None or self.probabilities is None:
            return
        facts = [artifacts.sha256(self.pair.file), self.pair.runtime, self.facts["runtime_version"], str(runs)]
        key = f"latency-{measurements.digest(facts)}"
        measured = measurements.recall(key)
        if measured is None:
            times = self._process.milliseconds(runs)
            if isinstance(times, str):
                self.facts["latency_reason"] = times
                return
            measured = measurements.remember(
                key,
                {
                    "median_milliseconds": statistics.median(times),
                    "p95_milliseconds": sorted(times)[int(0.95 * (len(times) - 1))],
                    "processor": measurements.processor(),
                },
            )
        self.facts |= measured

    def close(self) -> None:
        if self._process is not None:
            self._process.close()


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
    pythons: dict[str, Path | str] = {runtime: environment(runtime) for runtime in chosen.verify.runtimes}
    trials = [Trial(pair, pythons[pair.runtime]) for pair in pairs(exported_files(), chosen, len(labels))]
    try:
        with Progress(transient=True) as progress:
            task = progress.add_task("verifying", total=2 * len(trials))
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for _ in pool.map(lambda trial: trial.run(reference, labels), trials):
                    progress.advance(task)
            for trial in trials:  # one by one, with the machine at rest
                trial.time(chosen.verify.latency_runs)
                progress.advance(task)
    finally:
        for trial in trials:
            trial.close()
    rows = golden_rows(labels)
    golden: dict[str, Any] = {"images": images[rows], "labels": labels[rows]}
    for trial in trials:
        if trial.facts["state"] == "passed" and trial.probabilities is not None and len(trial.probabilities) == len(labels):
            golden.setdefault(trial.pair.format, trial.probabilities[rows])
    with stage.replacing(artifacts.GOLDEN) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **golden)
    artifacts.save_json(
        artifacts.report("verify"),
        {"model_sha256": artifacts.sha256(artifacts.MODEL), "pairs": [trial.facts for trial in trials]},
    )
    for trial in trials:
        facts = trial.facts
        lost = [f"loses at most {facts['accuracy_lost_bound']:.4f}"] if "accuracy_lost_bound" in facts else []
        print(f"{trial.pair.name}: {facts['state']}: {'; '.join([*lost, *filter(None, [facts.get('reason')])])}")
    bad = [trial.pair.name for trial in trials if trial.facts["state"] != "passed"]
    if bad:
        tracking.sync()  # the line ends here; otherwise its last stage does this
        raise UserError(f"not every required pair passed: {', '.join(bad)}; {artifacts.report('verify')} tells why")


if __name__ == "__main__":
    stage.run(main)
