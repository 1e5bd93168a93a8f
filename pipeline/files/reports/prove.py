"""What `edgeproof prove` reports on a .tflite or .onnx file of somebody else."""

from __future__ import annotations

from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section
from pipeline.files.reports.train import Origin
from pipeline.files.reports.verify import JudgedOn, RanPair, TaggedPair


class ComparedWith(Section):
    """What the file is compared with: `origin` is that of its reference.

    Without one it is the file itself on the reference kernels of this processor.
    """

    name: str
    origin: Origin | None
    accuracy: float  # on the test images
    accuracy_interval: tuple[float, float]


class CReport(Section):
    """Integer C, which gave the bytes of TensorFlow Lite Micro for all images."""

    folder: str
    images: int
    arena_bytes: int
    constant_bytes: int


class FileReport(Report):
    PATH: ClassVar = artifacts.REPORTS / "prove.json"

    origin: Origin
    compared_with: ComparedWith
    judged_on: JudgedOn
    pairs: list[TaggedPair]
    c: CReport | None = None

    @property
    def here(self) -> list[RanPair]:
        """The pairs that ran on this processor."""
        return [pair for pair in self.pairs if isinstance(pair, RanPair) and pair.is_native]
