"""What the files are tried on, and what the Keras model answered there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.bundle import golden
from pipeline.config.params import Params
from pipeline.files import artifacts, predictions
from pipeline.files.artifacts import Array

TEST, VALIDATION = (artifacts.PREPARED / split / "images.npy" for split in ("test", "validation"))


@dataclass(frozen=True)
class Material:
    """All images that the weights have not seen: the test set, and the validation set behind it.

    `labels` (N,) and `reference` (N, K), the answers of the Keras model, are of both; the first `tests` are the test
    set. `sample` (S,) are rows of the test set in random order, for what is too slow for all. `synthetic` are the
    inputs among the golden vectors that nobody recorded; `golden_tests` is how many test images may be among these,
    either all or, where the data may not be passed on, none. Runtimes read the images from files: `unseen` has all of them and the
    synthetic ones last, `sampled` the sample alone.
    """

    labels: Array
    reference: Array
    tests: int
    sample: Array
    synthetic: Array
    golden_tests: int
    unseen: list[Path]
    sampled: Path

    @property
    def split(self) -> dict[str, int]:
        return {"test": self.tests, "validation": len(self.labels) - self.tests}


def gather(chosen: Params, folder: Path) -> Material:
    """Reads the outs of earlier stages, and writes files into `folder` for the runtimes to read."""
    images, labels = artifacts.load_split("test")
    validation = predictions.load(artifacts.VALIDATION.read_bytes())
    data = artifacts.load_description()
    kept_here = data.not_passed_on is not None
    synthetic = (
        golden.invented(images, data.highest)
        if kept_here
        else golden.synthetic(images, labels, data.highest)
    )
    np.save(folder / "synthetic.npy", synthetic)
    largest = max(chosen.verify.micro_images, chosen.verify.processor_images)
    sample = np.random.default_rng(chosen.preprocess.seed).permutation(len(labels))[:largest]
    np.save(folder / "sample.npy", images[sample])
    return Material(
        labels=np.concatenate([labels, validation.labels]),
        reference=np.concatenate(
            [artifacts.load_array(artifacts.TEST_PROBABILITIES), validation.probabilities]
        ),
        tests=len(labels),
        sample=sample,
        synthetic=synthetic,
        golden_tests=0 if kept_here else len(labels),
        unseen=[TEST, VALIDATION, folder / "synthetic.npy"],
        sampled=folder / "sample.npy",
    )
