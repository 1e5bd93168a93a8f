"""The exported file as every target takes it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bundle import description
from pipeline.config.params import Params
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.process.errors import UserError
from pipeline.runtimes import environments
from pipeline.runtimes.process import Interpreter, RuntimeProcess, Task


@dataclass(frozen=True)
class Verified:
    """One exported file that ran in verification, its golden vectors, and test images to try what is made of it.

    `golden_images` (G, H, W, C) and `test_images` (N, H, W, C) are uint8; `golden_probabilities` (G, K) float32 are those of a runtime.
    `programs` and `arena_bytes` are what params.yaml asks for.
    """

    name: str
    version: str
    format: str
    file: Path
    data: Description
    golden_images: Array
    golden_probabilities: Array
    test_images: Array
    programs: tuple[str, ...]
    arena_bytes: int

    @classmethod
    def load(cls, made_from: str, chosen: Params) -> Verified:
        """Raises UserError where there is no such file, or where it takes ids, which no target reads."""
        data = artifacts.load_description()
        if data.holds_ids:
            raise UserError(
                "it takes images, and this dataset holds ids; run such a model with `serving` on Linux"
            )
        exported = artifacts.load_json(artifacts.report("export"))["formats"]
        with np.load(artifacts.GOLDEN, allow_pickle=False) as golden:
            if made_from not in exported or made_from not in golden.files:
                raise UserError(
                    f"it is made from {made_from}, which no runtime ran; add it to export.formats and its runtime to verify"
                )
            images, probabilities = golden["images"], golden[made_from]
        file = artifacts.EXPORTED / exported[made_from]["file"]
        if artifacts.sha256(file) != exported[made_from]["sha256"]:
            raise UserError(
                f"{file} is not the file that export wrote (its SHA-256 differs); run `dvc repro export`"
            )
        name, version = chosen.problem.name, chosen.problem.version
        tried = np.asarray(artifacts.load_split("test")[0][: chosen.embed.images])
        asked = tuple(chosen.embed.programs), chosen.embed.arena_bytes
        return cls(name, version, made_from, file, data, images, probabilities, tried, *asked)

    @property
    def words(self) -> dict[str, str]:
        """What the README of any target says of the model."""
        height, width, channels = self.data.input_shape
        return {
            "name": f"{self.name} {self.version}",
            "size": f"{width} x {height}" + ("" if channels == 1 else " in colour"),
            "pixels": f"{height * width * channels:,}",
            "golden": str(len(self.golden_images)),
            "prepared": description.preprocessing(self.data)["description"],
        }

    @cached_property
    def expected(self) -> Array:
        """What the runtime that the file is for gives for the test images: (N, K) float32; asked once. Raises UserError."""
        return self.answers(
            "litert" if self.file.suffix == ".tflite" else "onnxruntime", self.test_images
        )[0]

    def answers(self, runtime: str, images: Array) -> tuple[Array, dict[str, Any]]:
        """What the file gives on `runtime` for images (N, H, W, C) uint8: (N, K) float32, and what the runtime tells of itself.

        Raises UserError with the reason why not.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            np.save(folder / "images.npy", images)
            try:
                python = environments.python(runtime)
            except OSError as error:
                raise UserError(
                    f"{error}; make it, or take the target out of embed.targets"
                ) from None
            process = RuntimeProcess(
                Interpreter.here(python),
                runtime,
                Task([self.file], [folder / "images.npy"], folder),
            )
            try:
                answer = process.answer()
            finally:
                process.close()
            if isinstance(answer, str) or "reason" in answer:
                reason = answer if isinstance(answer, str) else answer["reason"]
                raise UserError(f"{self.file} did not run on {runtime}: {reason}")
            return np.load(folder / f"{self.file.stem}.npy"), answer
