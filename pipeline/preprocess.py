"""Stage 2: split the data into training, validation and test set, and report on their contents.

    python -m pipeline.preprocess

Reads: data/raw. Writes: data/prepared/{train,validation,test}/{images,labels}.npy,
data/prepared/description.json, reports/preprocess.json.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from pipeline import inputs
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, decoding, digests, pictures, raw
from pipeline.files.artifacts import Array, Description, Rows
from pipeline.files.reports.preprocess import Evidence, PreprocessReport, SplitReport
from pipeline.files.splits import splits
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.reporting import statistics


def check(images: Rows, labels: Array, class_names: list[str], part: str) -> None:
    """Rejects data from which nothing can be learned. Raises UserError."""
    if len(images) != len(labels):
        raise UserError(
            f"the {part} part has {len(images)} images and {len(labels)} labels; "
            "expected as many labels as images"
        )
    if len(labels) == 0:
        raise UserError(f"the {part} part is empty; expected at least one image of each class")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(class_names):
        raise UserError(
            f"the {part} part has labels from {low} to {high}; expected 0 to {len(class_names) - 1}"
        )
    counts = np.bincount(labels, minlength=len(class_names))
    if not counts.all():
        empty_class = class_names[int(counts.argmin())]
        raise UserError(
            f"class {empty_class!r} has no image in the {part} part; expected at least one"
        )


def report(
    parts: dict[str, tuple[Array, Array]], description: Description, evidence: Evidence
) -> PreprocessReport:
    return PreprocessReport(
        class_names=description.class_names,
        input_shape=list(description.input_shape),
        splits={
            name: split_report(images, labels, description)
            for name, (images, labels) in parts.items()
        },
        duplicates=duplicates({name: images for name, (images, _) in parts.items()}),
        unreadable=description.unreadable,
        evidence=evidence,
    )


def split_report(images: Array, labels: Array, description: Description) -> SplitReport:
    counts = np.bincount(labels, minlength=len(description.class_names))
    per_class = {
        name: int(count) for name, count in zip(description.class_names, counts, strict=True)
    }
    contents = inputs.kind(description.kind).report(images, description)
    return SplitReport.model_validate({"images": len(labels), "per_class": per_class, **contents})


def duplicates(parts: dict[str, Array]) -> dict[str, int]:
    """Counts repeated images within each split, and images shared by two splits (these leak)."""
    distinct, counts = {}, {}
    for name, images in parts.items():
        distinct[name] = np.unique(digests.of_examples(images))
        counts[f"within_{name}"] = len(images) - len(distinct[name])
    for name, other in itertools.combinations(parts, 2):
        shared = np.intersect1d(distinct[name], distinct[other], assume_unique=True)
        counts[f"{name}_and_{other}"] = len(shared)
    return counts


def too_few(unseen: int, settings: Params) -> str | None:
    """A warning if the unseen images are too few to prove an exported file, otherwise None.

    `unseen` counts the images that the weights have not seen: the validation and test sets.
    """
    max_accuracy_drop = settings.export.max_accuracy_drop
    needed = statistics.images_needed(max_accuracy_drop)
    if not needed or unseen >= needed:
        return None
    no_bundle = (
        ", and as verify.require is proven, there will be no bundle"
        if settings.verify.require == "proven"
        else ""
    )
    return (
        f"{unseen} validation and test images are too few to prove that an exported file loses at "
        f"most {max_accuracy_drop} (export.max_accuracy_drop): "
        f"files will be `not shown`{no_bundle}; {needed:,} images can prove it"
    )


def prepare(description: Description, settings: Params) -> dict[str, tuple[Array, Array]]:
    """Writes the three splits and returns their images and labels. Raises UserError."""
    raw_train, raw_test = raw.load("train"), raw.load("test")
    has_test = len(raw_test[1]) > 0
    check(*raw_train, description.class_names, "training")
    test_fraction = None if has_test else settings.dataset.test
    rows = splits(raw_train[1], test_fraction, settings.preprocess, raw.validation_rows())
    sources = {
        "train": raw_train,
        "validation": raw_train,
        "test": raw_test if has_test else raw_train,
    }
    for split, (images, labels) in sources.items():
        selected = rows.get(split, np.arange(len(labels)))
        folder = artifacts.empty(artifacts.PREPARED / split)
        if photos := pictures.on_disk(images):
            decoding.save(folder / "images.npy", photos.subset(selected), split)
        else:
            artifacts.save_rows(folder / "images.npy", images, selected)
        artifacts.save_rows(folder / "labels.npy", labels, selected)
    parts = {split: artifacts.load_split(split) for split in sources}
    for split, (images, labels) in parts.items():
        check(images, labels, description.class_names, split)
    return parts


def main() -> None:
    settings = params.load()
    description = raw.description()
    parts = prepare(description, settings)
    kind, train = inputs.kind(description.kind), parts["train"][0]
    description = replace(description, range=kind.value_range(train, description))
    artifacts.save_description(artifacts.DESCRIPTION, description)
    evidence = kind.evidence(train, parts["validation"][0])
    summary = report(parts, description, evidence)
    summary.save()
    print(", ".join(f"{name}: {split.images} images" for name, split in summary.splits.items()))
    unseen = len(parts["test"][1]) + len(parts["validation"][1])
    if note := too_few(unseen, settings):
        print(f"note: {note}")
    if summary.leaks:
        print(f"warning: the same images are in two splits and leak: {summary.leaks}")


if __name__ == "__main__":
    stage.run(main)
