"""What `embed` reports: the measurements of each target, or why it does not support the model."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section

TestImages = Annotated[int, Field(title="test examples")]
ArenaBytes = Annotated[int, Field(title="arena to reserve, bytes")]


class IntegerProof(Section):
    """A target that computes in integers, judged on all test examples by the gate of `verify`.

    It has an accuracy, or of a number the mean absolute error.
    """

    state: Literal["proven", "not shown"] = Field(title="verdict on all test examples")
    test_images: TestImages
    accuracy: float | None = None
    accuracy_lost_bound: float | None = Field(
        default=None, title="accuracy lost at most (95 % bound)"
    )
    agreement: float | None = Field(default=None, title="same answer as the trained model")
    error: float | None = Field(default=None, title="mean absolute error")
    error_added_bound: float | None = Field(
        default=None, title="added to the mean absolute error at most (95 % bound)"
    )
    images_equal_to_micro: int = Field(
        title="outputs equal to TensorFlow Lite Micro's, byte for byte"
    )

    @property
    def bound(self) -> float:
        """At most this much accuracy is lost, or error added."""
        bound = self.error_added_bound if self.accuracy is None else self.accuracy_lost_bound
        assert bound is not None
        return bound


class Time(Section):
    """The time for one input on a processor."""

    median_milliseconds: float | None = Field(default=None, title="median time per input, ms")
    engine: str | None = None  # of a page
    processor: str | None = None


class CSizes(Section):
    program_bytes: dict[str, int] = Field(title="programs, bytes")
    constant_bytes: int = Field(title="constants in flash, bytes")
    arena_bytes: ArenaBytes
    stack_bytes: int = Field(title="stack for one input, bytes")


class BrowserSizes(Section):
    wasm_bytes: int = Field(title="WebAssembly module, bytes")
    page_bytes: int = Field(title="whole page, bytes")


# The fields of the last base come first in a report.
class CMeasurements(Time, IntegerProof, CSizes):
    """Of the target `c`."""


class BrowserMeasurements(Time, IntegerProof, BrowserSizes):
    """Of the target `browser`."""


class FittedBoard(Section):
    board: str
    ram_bytes: int = Field(title="RAM available to the model, bytes")
    flash_bytes: int = Field(title="flash, bytes")
    fits: bool


class MicroMeasurements(Section):
    """Of the target `microcontroller`: memory, and the agreement with LiteRT on test examples."""

    model_bytes: int = Field(title="flash for the model, bytes")
    flash_bytes_with_runtime: int = Field(title="flash for the model and the runtime, bytes")
    arena_bytes_measured: int = Field(title="arena measured, bytes (largest of the builds tried)")
    arena_bytes_margin: int = Field(title="arena margin for optimised kernels, bytes")
    arena_bytes: ArenaBytes
    arena_bytes_esp32: int = Field(title="arena to reserve on an ESP32, bytes")
    multiply_accumulates: int = Field(title="multiply-accumulate operations per input")
    test_images: TestImages
    agreement_with_litert: float = Field(title="same answer as with LiteRT")
    largest_difference: float = Field(title="largest difference of an output")
    boards: list[FittedBoard]


Measured = CMeasurements | BrowserMeasurements | MicroMeasurements
# What people read for the name of a measurement
LABELS = {
    name: field.title
    for model in (BrowserMeasurements, CMeasurements, MicroMeasurements, FittedBoard)
    for name, field in model.model_fields.items()
    if field.title
}


class TargetReport(Section):
    """A target has either `measured` or `refused`."""

    target: str
    format: str
    measured: Measured | None = None
    refused: str | None = None

    @property
    def figures(self) -> dict[str, Any]:
        """What was measured, by name."""
        return self.measured.model_dump(exclude_unset=True) if self.measured else {}


class EmbedReport(Report):
    PATH: ClassVar = artifacts.REPORTS / "embed.json"

    model_sha256: str
    targets: list[TargetReport]
