"""A file, and the runtime and processor to run it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.config.params import Params
from pipeline.config.parts import runs_on_micro
from pipeline.config.processors import NATIVE, has_wheel
from pipeline.files.artifacts import Array
from pipeline.files.reports.verify import (
    AnyPair,
    ComparedPair,
    FailedPair,
    NumberPair,
    PairReport,
)
from pipeline.runtimes import environments, inspect_model
from pipeline.runtimes.process import MEASURE
from serving import preflight, runtimes
from serving.gate import COULD_NOT_RUN


@dataclass
class Pair:
    """`report` is None until there is a verdict.

    `probabilities` (N, K) are those that the file computed; None until it has run.
    """

    PROGRAM: ClassVar[str] = MEASURE  # that runs the file

    format: str
    file: Path
    runtime: str
    processor: str = NATIVE
    probabilities: Array | None = None
    report: AnyPair | None = None

    def __post_init__(self) -> None:
        # What the report says of the pair before it has run.
        self.known = PairReport(
            format=self.format,
            runtime=self.runtime,
            processor=self.processor,
            bytes=self.file.stat().st_size,
        )

    @property
    def micro(self) -> bool:
        return self.runtime == "tflite_micro"

    @property
    def computes_in_integers(self) -> bool:
        return self.known.computes_in_integers

    def refused(self) -> bool:
        """Whether the runtime cannot run the file, judged by what the file requires.

        Records the requirements, and the reason for a refusal, for the report.
        """
        version = environments.version(self.runtime)
        requirements, problems = inspect_model.read(self.file)
        self.known = self.known.changed(runtime_version=version, requirements=requirements)
        refusals = preflight.refusals(requirements, self.runtime, version)
        if reasons := self.reasons(problems, refusals):
            self.could_not_run("; ".join(reasons))
        return bool(reasons)

    def reasons(self, problems: list[str], refusals: list[str]) -> list[str]:
        """Why it cannot run, by the problems of the file and the refusals of the runtime."""
        return [*problems, *refusals]

    @property
    def verdict(self) -> AnyPair:
        """The report of a pair that has one."""
        assert self.report is not None, self
        return self.report

    def could_not_run(self, reason: str) -> None:
        self.report = FailedPair.model_validate(
            {**self.known.model_dump(exclude_unset=True), "state": COULD_NOT_RUN, "reason": reason}
        )

    def compared(self, figures: Mapping[str, object]) -> ComparedPair | NumberPair:
        """Ran; `figures` are the verdict with its evidence. Returns the report."""
        kind = NumberPair if "error_added" in figures else ComparedPair
        report = kind.model_validate({**self.known.model_dump(exclude_unset=True), **figures})
        self.report = report
        return report

    def unavailable(self, reason: str) -> None:
        """Could not run because this machine lacks something that DVC does not track."""
        again = "; then `dvc repro --force --downstream verify` tries again"
        self.could_not_run(f"{reason}{again}" if has_wheel(self.runtime) else reason)


def native_pairs(files: dict[str, Path], settings: Params) -> list[Pair]:
    """Every file with each runtime that reads it, on this processor."""
    return [
        Pair(name, file, runtime)
        for name, file in files.items()
        for runtime in settings.verify.runtimes
        if runtimes.SUFFIXES[runtime] == file.suffix
        and (runtime != "tflite_micro" or runs_on_micro(name))
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


def outputs_by_format(pairs: Sequence[Pair]) -> dict[str, Array]:
    """The outputs (N, K) for all images of each format, on the first runtime that gave them."""
    result: dict[str, Array] = {}
    for pair in pairs:
        if pair.probabilities is not None and not pair.micro:
            result.setdefault(pair.format, pair.probabilities)
    return result
