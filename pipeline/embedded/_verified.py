"""The verified file that every target is generated from."""

from __future__ import annotations

import math
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline import inputs
from pipeline.config.params import Params
from pipeline.config.parts import one_class_each
from pipeline.embedded import _integer_c, _kinds
from pipeline.embedded._integer_c import Code
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.evaluate import Evaluation
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from pipeline.runtimes import emulation
from pipeline.runtimes.process import Answer, RuntimeProcess, Task
from serving.model_file import answers

# Bytes. The weights of a file of this size, written out as text, compile within a minute.
LARGEST_MODEL = 8 * 1024 * 1024


@dataclass(frozen=True)
class MicroOutputs:
    """TensorFlow Lite Micro's outputs (G, K) and (N, K) float32 of golden and test images."""

    golden: Array
    tested: Array
    arena_bytes: int


@dataclass(frozen=True)
class VerifiedFile:
    """One exported file that ran in verification, with golden vectors and test images.

    `golden_images` (G, ...) and `test_images` (N, ...) are inputs as the model takes them, such as
    (N, H, W, C) uint8; `golden_labels` (G,) are class numbers. `programs`, `arena_bytes`,
    `max_loss` and `board` come from params.yaml. The file rejects an image if no probability
    reaches `accept_from`; of several labels at once, each holds from its `holds_from`. The share
    `coverage` of true numbers is within the `interval` of a number. Golden vectors may differ by
    `tolerance` elsewhere.
    """

    name: str
    version: str
    format: str
    file: Path
    data: Description
    golden_images: Array
    golden_labels: Array
    test_images: Array
    programs: tuple[str, ...]
    arena_bytes: int
    max_loss: float
    tolerance: float = statistics.QUANTIZED_TOLERANCE
    accept_from: float | None = None
    holds_from: tuple[float, ...] | None = None
    interval: float | None = None
    coverage: float | None = None
    board: str | None = None

    @classmethod
    def load(cls, format_name: str, params: Params) -> VerifiedFile:
        """Raises UserError if there is no such file, or if no target takes its kind of input."""
        data = artifacts.load_description()
        kind = inputs.kind(data.kind)
        if not kind.EMBEDDED:
            raise UserError(
                f"it takes images, sounds and series, but this dataset contains {kind.NOUN}; "
                "run such a model with `serving` on Linux"
            )
        if _kinds.kind_of(data).one_class_each and not one_class_each(data.target):
            raise UserError(
                "it hears words, each a class, but this dataset has "
                f"{'numbers' if data.unit else 'several labels at once'}; "
                "run such a model with `serving` on Linux"
            )
        exported, verified = ExportReport.load().files, VerificationReport.load()
        with np.load(artifacts.GOLDEN, allow_pickle=False) as golden:
            if format_name not in exported or format_name not in golden.files:
                raise UserError(
                    f"it is generated from {format_name}, which no runtime ran; "
                    "add it to export.formats and its runtime to verify"
                )
            images, labels = golden["images"], golden["labels"]
        return cls(
            name=params.problem.name,
            version=params.problem.version,
            format=format_name,
            file=exported[format_name].verified(),
            data=data,
            golden_images=images,
            golden_labels=labels,
            test_images=np.asarray(split_files.load_split("test")[0][: params.embed.images]),
            programs=tuple(params.embed.programs),
            arena_bytes=params.embed.arena_bytes,
            max_loss=params.max_loss(),
            tolerance=statistics.tolerance(True, verified.span),
            accept_from=verified.accept_from(format_name),
            holds_from=Evaluation.load().holds_from,
            interval=verified.half_width(format_name),
            coverage=params.problem.coverage,
            board=params.embed.board,
        )

    @property
    def readme_fields(self) -> dict[str, str]:
        """The values that the README of every target shares."""
        return {
            "name": f"{self.name} {self.version}",
            "library": re.sub(r"\W", "_", self.name),
            "version": self.version,
            "format": self.format,
            "size": _kinds.size(self.data),
            "pixels": f"{math.prod(self.data.input_shape):,}",
            "values": _kinds.kind_of(self.data).values,
            "golden": str(len(self.golden_images)),
            "prepared": inputs.kind(self.data.kind).preprocessing(self.data)["description"],
        }

    @cached_property
    def code(self) -> Code:
        """The network in integer C. Generated once. Raises UserError."""
        data = self.file.read_bytes()
        if len(data) > LARGEST_MODEL:
            raise UserError(
                f"{self.file.name} has {len(data):,} bytes; "
                f"C code is generated from at most {LARGEST_MODEL:,}; use a smaller architecture"
            )
        return _integer_c.translate(data, self.file.name, self.accept_from, self.holds_from)

    @property
    def golden_classes(self) -> Array:
        """The expected return values of network_run, (G,), for the golden vectors."""
        classes: Array = answers(self.micro.golden, self.accept_from)
        return classes

    @cached_property
    def expected(self) -> Array:
        """The probabilities (N, K) float32 of the test images, from LiteRT. Computed once.

        Raises UserError.
        """
        return self.predict("litert", self.test_images)[0]

    @cached_property
    def micro(self) -> MicroOutputs:
        """TensorFlow Lite Micro's answers. Computed once. Raises UserError."""
        count = len(self.golden_images)
        images = np.concatenate([self.golden_images, self.test_images])
        probabilities, answer = self.predict("tflite_micro", images)
        return MicroOutputs(probabilities[:count], probabilities[count:], answer.arena_bytes or 0)

    def predict(self, runtime: str, images: Array) -> tuple[Array, Answer]:
        """Runs images (N, ...) on `runtime`.

        Returns the probabilities (N, K) float32 and the runtime's answer. Raises UserError with the
        reason if the file does not run.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            np.save(folder / "images.npy", images)
            try:
                interpreter = emulation.here_or_emulated(runtime)
            except OSError as error:
                raise UserError(
                    f"{error}; run `make env` where packages can be reached, or remove the target "
                    "from embed.targets"
                ) from None
            task = Task([self.file], [folder / "images.npy"], folder)
            process = RuntimeProcess(interpreter, runtime, task)
            try:
                answer = process.answer()
            finally:
                process.close()
            if answer.reason is not None:
                raise UserError(f"{self.file} did not run on {runtime}: {answer.reason}")
            return np.load(folder / f"{self.file.stem}.npy"), answer
