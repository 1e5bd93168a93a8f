"""A file and a runtime to try it on."""

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
    """`facts` is its row of the report; `probabilities` (N, K) is what it answered, if it did."""

    format: str
    file: Path
    runtime: str
    processor: str = NATIVE
    facts: dict[str, Any] = field(default_factory=dict)
    probabilities: Array | None = None

    def __post_init__(self) -> None:
        names = ("format", "runtime", "processor")
        self.facts |= {name: getattr(self, name) for name in names}
        self.facts["bytes"] = self.file.stat().st_size

    @property
    def name(self) -> str:
        there = "" if self.processor == NATIVE else f" on {self.processor}"
        return f"{self.format} on {self.runtime}{there}"

    @property
    def micro(self) -> bool:
        return self.runtime == "tflite_micro"

    @property
    def computes_in_integers(self) -> bool:
        return "int8" in self.facts["requirements"]["weights"]

    def refused(self) -> bool:
        """Reads what the file asks for. Where that tells that it cannot run, the facts then say so."""
        version = environments.version(self.runtime)
        requirements, problems = inspect_model.read(self.file)
        self.facts |= {"runtime_version": version, "requirements": asdict(requirements)}
        refusals = [*problems, *preflight.refusals(requirements, self.runtime, version)]
        if refusals:
            self.could_not_run("; ".join(refusals))
        return bool(refusals)

    def could_not_run(self, reason: str) -> None:
        self.facts |= {"state": COULD_NOT_RUN, "reason": reason}

    def not_here(self, reason: str) -> None:
        """Could not run for want of something on this machine, of which DVC knows nothing."""
        self.could_not_run(f"{reason}; then `dvc repro --force --downstream verify` tries again")


def native(files: dict[str, Path], chosen: Params) -> list[Pair]:
    """Every file with each runtime that reads it, on this processor."""
    return [
        Pair(name, file, runtime)
        for name, file in files.items()
        for runtime in chosen.verify.runtimes
        if runtimes.SUFFIXES[runtime] == file.suffix
        and (runtime != "tflite_micro" or name == "tflite_int8")
    ]


def emulated(files: dict[str, Path], chosen: Params) -> list[list[Pair]]:
    """The same on each emulated processor, for the runtimes that have a wheel there; a list for each of these."""
    groups = [
        [
            Pair(name, file, runtime, processor)
            for name, file in files.items()
            if runtimes.SUFFIXES[runtime] == file.suffix
        ]
        for processor, runtime in chosen.verify.places
    ]
    return [group for group in groups if group]
