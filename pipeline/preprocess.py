"""Stage 2: split the data into training, validation and test set, and report on their contents.

    python -m pipeline.preprocess

Reads: data/raw. Writes: data/prepared/{train,validation,test}/{images,labels}.npy,
data/prepared/description.json, reports/preprocess.json.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline import inputs, targets
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.preprocess import Evidence, PreprocessReport, SplitReport
from pipeline.files.splits import splits
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.reporting import statistics


def check(images: Array, labels: Array, description: Description, part: str) -> None:
    """Rejects data from which nothing can be learned. Raises UserError."""
    if len(images) != len(labels):
        raise UserError(
            f"the {part} part has {len(images)} images and {len(labels)} labels; "
            "expected as many labels as images"
        )
    targets.target(description.target).check(labels, description, part)


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
    kind, target = inputs.kind(description.kind), targets.target(description.target)
    names = description.class_names
    counts = target.counts(labels, labels, len(names))
    return SplitReport.model_validate(
        {
            "images": len(labels),
            "per_class": dict(zip(names, counts.images.tolist(), strict=True)),
            **kind.report(images, description),
        }
    )


def duplicates(parts: dict[str, Array]) -> dict[str, int]:
    """Counts repeated images within each split, and images shared by two splits (these leak)."""
    seen: dict[bytes, set[str]] = defaultdict(set)
    digests: dict[str, list[bytes]] = {}
    for name, images in parts.items():
        digests[name] = [
            hashlib.blake2b(pixels, digest_size=16).digest() for pixels in _rows(images)
        ]
        for digest in digests[name]:
            seen[digest].add(name)
    names = list(parts)
    counts = {f"within_{name}": len(digests[name]) - len(set(digests[name])) for name in names}
    for first, name in enumerate(names):
        for other in names[first + 1 :]:
            counts[f"{name}_and_{other}"] = sum(
                1 for splits_with_image in seen.values() if {name, other} <= splits_with_image
            )
    return counts


def _rows(images: Array) -> Iterator[bytes]:
    for start, stop in artifacts.chunks(len(images)):
        chunk = np.ascontiguousarray(images[start:stop])
        yield from (row.tobytes() for row in chunk)


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
    raw_train = artifacts.load_split("train", artifacts.RAW)
    raw_test = artifacts.load_split("test", artifacts.RAW)
    has_test = len(raw_test[1]) > 0
    check(*raw_train, description, "training")
    test_fraction = None if has_test else settings.dataset.test
    strata = targets.target(description.target).strata(raw_train[1])
    rows = splits(strata, test_fraction, settings.preprocess)
    sources = {
        "train": raw_train,
        "validation": raw_train,
        "test": raw_test if has_test else raw_train,
    }
    for split, (images, labels) in sources.items():
        selected = rows.get(split, np.arange(len(labels)))
        folder = artifacts.empty(artifacts.PREPARED / split)
        artifacts.save_rows(folder / "images.npy", images, selected)
        artifacts.save_rows(folder / "labels.npy", labels, selected)
    parts = {split: artifacts.load_split(split) for split in sources}
    for split, (images, labels) in parts.items():
        check(images, labels, description, split)
    return parts


def main() -> None:
    settings = params.load()
    description = artifacts.load_description(artifacts.RAW / "description.json")
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
