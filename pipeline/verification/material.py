"""The images that files are compared on, and the Keras model's probabilities for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipeline import inputs, targets
from pipeline.bundle import golden
from pipeline.config.params import Params
from pipeline.files import artifacts, pictures, predictions, split_files
from pipeline.files.artifacts import Array
from pipeline.files.reports.verify import JudgedOn
from pipeline.reporting import metrics, statistics
from pipeline.reporting.metrics import ACCURACY
from pipeline.targets import Target, Thresholds, _thresholds
from serving import gate, metric
from serving.comparison import AnyComparison, Comparison

SCRATCH_BYTES = 2**28  # of pixels in a file at a time


@dataclass(frozen=True)
class Material:
    """All images that the weights have not seen: the test set, followed by the validation set.

    Runtimes read images from files, and the slow ones only those of a sample.
    """

    target: Target
    labels: Array  # (N, ...)
    reference: Array  # (N, K), the outputs of the Keras model
    tests: int  # how many of the N are the test set
    sample: Array  # (S,), rows of the test set in random order
    synthetic: Array  # the generated inputs among the golden vectors
    golden_tests: int  # test images that may be golden vectors; 0 if no data may be passed on
    unseen: list[Array]  # on disk: the N images, then the others, then the synthetic ones
    sampled: Path  # the images of the sample
    others: int = 0  # pictures of none of the classes
    sampled_others: Path | None = None  # some of them
    unit: str | None = None  # of a model that gives numbers
    metric: str = ACCURACY  # problem.metric
    holds_from: Thresholds = None  # the least probability with which each of several labels holds
    noun: str = "images"  # what inputs are called

    def compare(
        self, outputs: Array, rows: Array, max_loss: float, test_images: int | None = None
    ) -> AnyComparison:
        """The verdict on a file's outputs for these rows, and its figures; see serving."""
        reference, labels = self.reference[rows], self.labels[rows]
        pair = outputs, reference
        comparison = metric.compare(
            self.metric, pair, labels, max_loss, test_images, holds_from=self.holds_from
        )
        if isinstance(comparison, Comparison) and comparison.metric:
            tested = labels[: comparison.test_images]
            judged = metrics.with_intervals(comparison.metric, pair, tested)
            return replace(comparison, metric=judged)
        return comparison

    def test_rows(self, images: int, is_micro: bool) -> Array:
        """The test images that a pair saw: all of them, or the first ones of the sample."""
        return self.sample[:images] if is_micro else np.arange(self.tests)

    def figures(self, comparison: AnyComparison) -> dict[str, Any]:
        """The comparison as a pair reports it, with the reason why a file is not proven."""
        facts = {"unit": self.unit, "reason": statistics.reason(comparison, self.unit, self.noun)}
        known_facts = {name: value for name, value in facts.items() if value is not None}
        return {**gate.figures(comparison), **known_facts}

    @property
    def span(self) -> float | None:
        """The range of the Keras model's numbers, which golden vectors are compared by."""
        return None if self.unit is None else float(np.ptp(self.reference))

    @property
    def judged_on(self) -> JudgedOn:
        unseen = len(self.labels) - self.tests
        return JudgedOn(test=self.tests, validation=unseen, noun=self.noun)


def files_of(arrays: Sequence[Array], scratch: Path) -> Iterator[list[Path]]:
    """npy files that hold these memory-mapped arrays, one after the other, for another process.

    Compressed pictures are decoded into `scratch`, SCRATCH_BYTES at a time, in place of the last.
    """
    files = list[Path]()
    for array in arrays:
        if (photos := pictures.on_disk(array)) is None:
            files.append(Path(str(cast(np.memmap, array).filename)))
            continue
        if files:
            yield files
            files = []
        rows = max(1, SCRATCH_BYTES // artifacts.row_bytes(photos))
        for start, stop in artifacts.chunks(len(photos), rows):
            artifacts.save_rows(scratch, photos, np.arange(start, stop))
            yield [scratch]
    yield files


def gather(settings: Params, folder: Path) -> Material:
    """Reads the outputs of earlier stages, and writes files for the runtimes into `folder`."""
    images, labels = split_files.load_split("test")
    validation = predictions.load(artifacts.VALIDATION.read_bytes())
    data = artifacts.load_description()
    kind, target = inputs.kind(data.kind), targets.target(data.target)
    is_private = data.not_passed_on is not None
    if is_private:
        synthetic = kind.invented(images, data.range)
    else:
        rows = golden.spread_rows(target.strata(labels))[::2]
        synthetic = kind.synthetic(images[rows], data.range)
    np.save(folder / "synthetic.npy", synthetic)
    largest = max(settings.verify.micro_images, settings.verify.processor_images)
    sample = save_sample(folder / "sample.npy", images, largest, settings)
    material = Material(
        target=target,
        unit=data.unit,
        metric=settings.problem.metric,
        holds_from=_thresholds.fitted(validation, data.target),
        noun=inputs.noun(data.kind),
        labels=np.concatenate([labels, validation.labels]),
        reference=np.concatenate(
            [artifacts.load_array(artifacts.TEST_PROBABILITIES), validation.probabilities]
        ),
        tests=len(labels),
        sample=sample,
        synthetic=synthetic,
        golden_tests=0 if is_private else len(labels),
        unseen=[
            images,
            split_files.load_split("validation")[0],
            artifacts.load_array(folder / "synthetic.npy"),
        ],
        sampled=folder / "sample.npy",
    )
    others = split_files.load_others("test")
    return material if others is None else _with_others(material, others, folder, settings)


def _with_others(material: Material, others: Array, folder: Path, settings: Params) -> Material:
    *labelled, synthetic = material.unseen
    sampled = folder / "others.npy"
    save_sample(sampled, others, settings.verify.micro_images, settings)
    return replace(
        material,
        unseen=[*labelled, others, synthetic],
        others=len(others),
        sampled_others=sampled,
    )


def save_sample(path: Path, images: Array, count: int, settings: Params) -> Array:
    """Saves `count` of the images in random order; returns their rows (S,)."""
    rows = np.random.default_rng(settings.preprocess.seed).permutation(len(images))[:count]
    np.save(path, images[rows])
    return rows
