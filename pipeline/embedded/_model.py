"""The proven model as every target takes it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline import artifacts, environments
from pipeline.artifacts import Array, Description
from pipeline.params import Params
from pipeline.runtime_process import RuntimeProcess
from pipeline.stage import UserError

TEST_IMAGES = artifacts.PREPARED / "test" / "images.npy"


@dataclass(frozen=True)
class Proven:
    """One exported file that passed, its golden vectors, and test images to try what is made of it.

    `golden_images` are (G, H, W, C) uint8 and `golden_probabilities` (G, K) float32, as the file's runtime gave them.
    """

    name: str
    version: str
    format: str
    file: Path
    data: Description
    golden_images: Array
    golden_probabilities: Array
    images: int

    @classmethod
    def load(cls, made_from: str, chosen: Params) -> Proven:
        """Raises UserError where there is no such file, or where it takes ids, which no target reads."""
        data = artifacts.load_description()
        if data.holds_ids:
            raise UserError("it takes images, and this dataset holds ids; run such a model with `serving` on Linux")
        exported = artifacts.load_json(artifacts.report("export"))["formats"]
        with np.load(artifacts.GOLDEN, allow_pickle=False) as golden:
            if made_from not in exported or made_from not in golden.files:
                raise UserError(f"it is made from {made_from}, which no runtime proved; add it to export.formats and its runtime to verify")
            images, probabilities = golden["images"], golden[made_from]
        file = artifacts.EXPORTED / exported[made_from]["file"]
        if artifacts.sha256(file) != exported[made_from]["sha256"]:
            raise UserError(f"{file} is not the file that export wrote (its SHA-256 differs); run `dvc repro export`")
        name, version = chosen.problem.name, chosen.problem.version
        return cls(name, version, made_from, file, data, images, probabilities, chosen.embed.images)

    @cached_property
    def test_images(self) -> Array:
        """The first `images` test images (N, H, W, C) uint8."""
        return np.asarray(artifacts.load_array(TEST_IMAGES)[: self.images])

    def probabilities(self, runtime: str) -> Array:
        """What the file gives on `runtime` for the test images: (N, K) float32. Raises UserError with the reason why not."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "probabilities.npy"
            arguments: list[str | Path] = [runtime, self.file, TEST_IMAGES, "--count", str(self.images), "--probabilities", output]
            process = RuntimeProcess(environments.python(runtime), *arguments)
            try:
                answer = process.answer()
            finally:
                process.close()
            if isinstance(answer, str):
                raise UserError(f"{self.file} did not run on {runtime}: {answer}")
            result: Array = np.load(output)
        return result
