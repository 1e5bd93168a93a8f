"""A pair on this processor: its probabilities for all images, and its latency."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from pipeline.config.params import Params
from pipeline.files import artifacts, digests, timing_cache
from pipeline.files.reports.verify import RanPair
from pipeline.runtimes.process import Interpreter, RuntimeProcess, Task
from pipeline.verification.material import Material, files_of
from pipeline.verification.pair import Pair


class NativePair:
    """A pair in a process of its own, which is kept alive until its latency has been measured.

    `environment` is the Python of its runtime, or the reason why there is none.
    """

    def __init__(self, pair: Pair, environment: Path | str) -> None:
        self.pair, self.environment = pair, environment
        self._process: RuntimeProcess | None = None
        self._arena_bytes: int | None = None  # of TensorFlow Lite Micro alone

    def run(self, material: Material, settings: Params, folder: Path) -> None:
        """Fills in the pair's report and probabilities; its files go into `folder`."""
        if isinstance(self.environment, str):
            self.pair.unavailable(self.environment)
        elif not self.pair.refused():
            self._predict(Interpreter.here(self.environment), material, folder)
            if self.pair.probabilities is not None:
                self._judge(material, settings)

    def _predict(self, interpreter: Interpreter, material: Material, folder: Path) -> None:
        pair = self.pair
        output = folder / pair.runtime
        output.mkdir(exist_ok=True)
        few = [path for path in (material.sampled, material.sampled_others) if path]
        scratch = output / f"{pair.file.stem}-images.npy"
        outputs = []
        for images in [few] if pair.micro else files_of(material.unseen, scratch):
            self.close()  # the process of the images before these
            task = Task([pair.file], images, output, program=pair.PROGRAM)
            self._process = RuntimeProcess(interpreter, pair.runtime, task)
            answer = self._process.answer()
            if answer.reason is not None:
                pair.could_not_run(answer.reason)
                return
            self._arena_bytes = answer.arena_bytes
            outputs.append(np.load(output / f"{pair.file.stem}.npy"))
        pair.probabilities = np.concatenate(outputs)

    def _judge(self, material: Material, settings: Params) -> None:
        pair = self.pair
        assert pair.probabilities is not None
        rows, tests = np.arange(len(material.labels)), material.tests
        if pair.micro:
            rows = material.sample[: settings.verify.micro_images]
            tests = len(rows)
        allowed = settings.max_loss(micro=pair.micro)
        comparison = material.compare(pair.probabilities[: len(rows)], rows, allowed, tests)
        figures = material.figures(comparison)
        if self._arena_bytes is not None:
            figures["arena_bytes"] = self._arena_bytes
        pair.compared(figures)

    def time(self, runs: int) -> None:
        """Median and 95th percentile latency of single images on one thread.

        Cached per processor, file, runtime and number of runs.
        """
        pair, report = self.pair, self.pair.report
        if self._process is None or not isinstance(report, RanPair):
            return
        file = artifacts.sha256(pair.file)
        facts = [file, pair.runtime, report.runtime_version, str(runs), "measured_on"]
        key = f"latency-{digests.of_facts(facts)}"
        latency = timing_cache.recall(key)
        if latency is None:
            times = self._process.milliseconds(runs)
            if isinstance(times, str):
                pair.report = report.changed(latency_reason=times)
                return
            latency = {
                "median_milliseconds": statistics.median(times),
                "p95_milliseconds": sorted(times)[int(0.95 * (len(times) - 1))],
                "measured_on": timing_cache.processor(),
            }
            latency = timing_cache.remember(key, latency)
        pair.report = report.changed(**latency)

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
