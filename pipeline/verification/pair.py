"""A file, and the runtime and processor to run it on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.params import Params
from pipeline.config.processors import NATIVE
from pipeline.files.artifacts import Array
from pipeline.runtimes import environments, inspect_model
from serving import preflight, runtimes
from serving.gate import COULD_NOT_RUN


@dataclass
class Pair:
    """`facts` is the pair's row of the report.

    `probabilities` (N, K) are those that the file computed; None until it has run.
    """

    format: str
    file: Path
    runtime: str
    processor: str = NATIVE
    facts: dict[str, Any] = field(default_factory=dict)
    probabilities: Array | None = None

    def __post_init__(self) -> None:
        self.facts |= {
            "format": self.format,
            "runtime": self.runtime,
            "processor": self.processor,
            "bytes": self.file.stat().st_size,
        }

    @property
    def name(self) -> str:
        processor = "" if self.processor == NATIVE else f" on {self.processor}"
        return f"{self.format} on {self.runtime}{processor}"

    @property
    def micro(self) -> bool:
        return self.runtime == "tflite_micro"

    @property
    def computes_in_integers(self) -> bool:
        return "int8" in self.facts["requirements"]["weights"]

    def refused(self) -> bool:
        """Whether the runtime cannot run the file, judged by what the file requires.

        Records the requirements, and the reason for a refusal, in the facts.
        """
        version = environments.version(self.runtime)
        requirements, problems = inspect_model.read(self.file)
        self.facts |= {"runtime_version": version, "requirements": asdict(requirements)}
        refusals = [*problems, *preflight.refusals(requirements, self.runtime, version)]
        if refusals:
            self.could_not_run("; ".join(refusals))
        return bool(refusals)

    def could_not_run(self, reason: str) -> None:
        self.facts |= {"state": COULD_NOT_RUN, "reason": reason}

    def unavailable(self, reason: str) -> None:
        """Could not run because this machine lacks something that DVC does not track."""
        self.could_not_run(f"{reason}; then `dvc repro --force --downstream verify` tries again")


def native_pairs(files: dict[str, Path], settings: Params) -> list[Pair]:
    """Every file with each runtime that reads it, on this processor."""
    return [
        Pair(name, file, runtime)
        for name, file in files.items()
        for runtime in settings.verify.runtimes
        if runtimes.SUFFIXES[runtime] == file.suffix
        and (runtime != "tflite_micro" or name == "tflite_int8")
    ]


def emulated_pairs(files: dict[str, Path], settings: Params) -> list[list[Pair]]:
    """Every file on each emulated processor: a list per processor and runtime that has a wheel."""
    groups = [
        [
            Pair(name, file, runtime, processor)
            for name, file in files.items()
            if runtimes.SUFFIXES[runtime] == file.suffix
        ]
        for processor, runtime in settings.verify.places
    ]
    return [group for group in groups if group]
