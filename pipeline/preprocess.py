"""Stage 2: split the data into training, validation and test set, and report on their contents.

    python -m pipeline.preprocess

Reads: data/raw. Writes: data/prepared/{train,validation,test}/{images,labels}.npy,
data/prepared/description.json, reports/preprocess.json, with preprocess.group
data/prepared/test/groups.json, and with dataset.other data/prepared/{train,test}/other.npy.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from pipeline import inputs, targets
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, decoding, digests, groups, pictures, raw
from pipeline.files.artifacts import Array, Description, Rows
from pipeline.files.corrections import TEST, TRAINING, Edits
from pipeline.files.pictures import Pictures
from pipeline.files.reports.preprocess import (
    Corrected,
    Evidence,
    PreprocessReport,
    SplitReport,
    Together,
)
from pipeline.files.splits import Groups, split_off, splits
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.reporting import statistics


def check(images: Rows, labels: Array, description: Description, part: str) -> None:
    """Rejects data from which nothing can be learned. Raises UserError."""
    if len(images) != len(labels):
        raise UserError(
            f"the {part} part has {len(images)} images and {len(labels)} labels; "
            "expected as many labels as images"
        )
    targets.target(description.target).check(labels, description, part)


def check_unit(description: Description) -> None:
    """Raises UserError if the data ask for a number and no unit is given, or the other way round.

    The unit says that problem.target is an error and not an accuracy.
    """
    is_number = description.target == "number"
    if is_number and description.unit is None:
        raise UserError(
            f"problem.unit is null, and {description.name} asks for a number; expected its unit, "
            "such as degrees, and as problem.target the mean absolute error that the model may have"
        )
    if description.unit is not None and not is_number:
        raise UserError(
            f"problem.unit is {description.unit}, and {description.name} asks for "
            f"{description.target}; expected null, or numbers: floats as y_train of an npz file"
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
    kind, target = inputs.kind(description.kind), targets.target(description.target)
    return SplitReport.model_validate(
        {
            "images": len(labels),
            **target.contents(labels, description.class_names),
            **kind.report(images, description),
        }
    )


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
    if settings.problem.unit is not None:
        return None  # it depends on the model, and `verify` says so
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


def few(sizes: dict[str, int], settings: Params) -> list[str]:
    """What follows from few images for the test, and from few for the conversion to int8."""
    notes, target = [], settings.problem.target
    if sizes["test"] < statistics.FEW_TESTED and settings.problem.unit is None:
        outside = sizes["train"] + sizes["validation"]
        notes.append(
            f"{sizes['test']} test images: an accuracy of {100 * target:.0f} % would have a 95 % "
            f"interval of {statistics.expected_interval(target, sizes['test'])}; `edgeproof folds` "
            f"judges the recipe on all {outside:,} others"
        )
    if sizes["train"] < settings.export.calibration_images:
        notes.append(
            f"{sizes['train']} training images are fewer than export.calibration_images, so all "
            "of them set the ranges of int8"
        )
    return notes


@dataclass(frozen=True)
class Selection:
    """The rows of a raw part that make up a split, with corrected labels.

    `group_names` are those of their groups, if any. `edits` are the corrections of the part, and
    `dropped` counts the rows of the split that they leave out.
    """

    inputs: Array
    labels: Array
    rows: Array
    group_names: list[str] | None
    edits: Edits
    dropped: int

    @classmethod
    def of(
        cls, part: tuple[Array, Array], rows: Array, names: list[str] | None, edits: Edits
    ) -> Selection:
        """`names` are the groups of all rows of the part, if any."""
        inputs, labels = part
        left = edits.left(rows)
        group_names = None if names is None else [names[row] for row in left]
        dropped = len(rows) - len(left)
        return cls(inputs, edits.labels(labels), left, group_names, edits, dropped)

    @property
    def relabelled(self) -> int:
        """How many of the rows have a corrected label."""
        return int(np.isin(self.rows, list(self.edits.changed)).sum())

    @property
    def photos(self) -> Pictures | None:
        """Those of the split, if they are pictures on disk."""
        photos = pictures.on_disk(self.inputs)
        return None if photos is None else photos.subset(self.rows)


def select(description: Description, settings: Params) -> dict[str, Selection]:
    """The rows of each split. Raises UserError, before any of them is read."""
    raw_train, raw_test = raw.load("train"), raw.load("test")
    has_test = len(raw_test[1]) > 0
    check(*raw_train, description, "training")
    test_fraction = None if has_test else settings.dataset.test
    rows = splits(
        targets.target(description.target).strata(raw_train[1]),
        test_fraction,
        settings.preprocess,
        raw.validation_rows(),
        raw.groups(settings.preprocess.group),
    )
    rows.setdefault("test", np.arange(len(raw_test[1])))
    parts = {"train": "train", "validation": "train", "test": "test" if has_test else "train"}
    arrays = {"train": raw_train, "test": raw_test}
    names = {part: raw.group_names(part, settings.preprocess.group) for part in arrays}
    edits = {name: raw.edits(name) for name in (TRAINING, TEST)}
    # The rows of a split do not depend on corrections, so figures before and after compare.
    selections = {
        split: Selection.of(
            arrays[part], rows[split], names[part], edits[TEST if split == "test" else TRAINING]
        )
        for split, part in parts.items()
    }
    for split, selection in selections.items():
        check(selection.rows, selection.labels[selection.rows], description, split)
    return selections


def corrected(selections: dict[str, Selection], settings: Params) -> Corrected | None:
    """How many labels were corrected; None if no file is named."""
    if settings.preprocess.corrections == params.NONE:
        return None
    used = sum(part.relabelled + part.dropped for part in selections.values())
    every = [selections[split].edits for split in ("train", "test")]  # validation shares train's
    return Corrected(
        relabelled={split: part.relabelled for split, part in selections.items()},
        dropped={split: part.dropped for split, part in selections.items()},
        unused=sum(len(edits.rows) for edits in every) - used,
    )


def prepare(selections: dict[str, Selection]) -> dict[str, tuple[Array, Array]]:
    """Writes the three splits and returns their images and labels. Raises UserError."""
    for split, selection in selections.items():
        folder = artifacts.empty(artifacts.PREPARED / split)
        if (photos := selection.photos) is not None:
            decoding.save(folder / "images.npy", photos, split)
        else:
            artifacts.save_rows(folder / "images.npy", selection.inputs, selection.rows)
        artifacts.save_rows(folder / "labels.npy", selection.labels, selection.rows)
    if (names := selections["test"].group_names) is not None:
        artifacts.save_json(groups.OF_TEST, names)
    return {split: artifacts.load_split(split) for split in selections}


def prepare_others(settings: Params) -> dict[str, int]:
    """Writes the pictures of none of the classes, and returns how many train and test.

    Copies and near copies of a photo are in one split. No threshold is fitted on these pictures,
    so there is no part for validation.
    """
    parts = raw.others()
    if not parts:
        return {}
    if "test" in parts:
        rows = {name: np.arange(len(images)) for name, images in parts.items()}
    else:
        count = max(1, round(settings.dataset.test * len(parts["train"])))
        photos, alike = pictures.on_disk(parts["train"]), np.zeros(len(parts["train"]), np.int64)
        copies = None if photos is None else Groups(groups.together(photos.rows, None))
        kept, split = split_off(alike, count, "random", settings.preprocess.seed, copies)
        rows, parts = {"train": kept, "test": split}, {**parts, "test": parts["train"]}
    for split_name, images in parts.items():
        path = artifacts.PREPARED / split_name / artifacts.OTHERS
        if (photos := pictures.on_disk(images)) is not None:
            decoding.save(path, photos.subset(rows[split_name]), f"other-{split_name}")
        else:
            artifacts.save_rows(path, images, rows[split_name])
    return {name: len(numbers) for name, numbers in rows.items()}


def together(selections: dict[str, Selection]) -> Together | None:
    """What was kept together; None for arrays without groups."""
    photos = [selection.photos for selection in selections.values()]
    rows = [row for part in photos if part is not None for row in part.rows]
    copies = groups.of_copies(rows) if rows else []
    names = {
        split: selection.group_names
        for split, selection in selections.items()
        if selection.group_names is not None
    }
    if not names:
        return Together(copies=copies) if rows else None
    return Together(
        copies=copies,
        groups={split: len(set(groups.distinct(part))) for split, part in names.items()},
        shared_groups=sorted(
            {
                name
                for one, other in itertools.combinations(map(set, names.values()), 2)
                for name in one & other
                if name
            }
        ),
    )


def main() -> None:
    settings = params.load()
    description = replace(raw.description(), unit=settings.problem.unit)
    check_unit(description)
    selections = select(description, settings)
    parts = prepare(selections)
    others = prepare_others(settings)
    kind, train = inputs.kind(description.kind), parts["train"][0]
    description = replace(description, range=kind.value_range(train, description))
    artifacts.save_description(artifacts.DESCRIPTION, description)
    evidence = kind.evidence(train, parts["validation"][0])
    summary = report(parts, description, evidence)
    if kept := together(selections):
        summary = summary.changed(together=kept)
    if labels := corrected(selections, settings):
        summary = summary.changed(corrected=labels)
    if others:
        summary = summary.changed(others=others)
    summary.save()
    sizes = {name: counted(split.images, "image") for name, split in summary.splits.items()}
    print(", ".join(f"{name}: {size}" for name, size in sizes.items()))
    for note in notes(summary, settings):
        print(note)


def notes(summary: PreprocessReport, settings: Params) -> list[str]:
    """What the reader should know of the splits."""
    result = []
    sizes = {name: split.images for name, split in summary.splits.items()}
    if note := too_few(sizes["test"] + sizes["validation"], settings):
        result.append(f"note: {note}")
    result += [f"note: {note}" for note in few(sizes, settings)]
    if summary.others:
        counts = ", ".join(f"{name}: {count:,}" for name, count in summary.others.items())
        result.append(f"pictures of none of the classes: {counts}")
    if summary.leaks:
        result.append(f"warning: the same images are in two splits and leak: {summary.leaks}")
    if summary.corrected:
        result.append(f"corrections: {summary.corrected.sentence}")
    kept = summary.together
    if kept and kept.copies:
        result.append(
            f"note: {sum(map(len, kept.copies)):,} pictures are copies or near copies, such as "
            f"{' and '.join(kept.copies[0][:2])}; {summary.PATH} lists them"
        )
    if kept and kept.groups:
        counts = ", ".join(f"{name}: {count:,}" for name, count in kept.groups.items())
        result.append(f"groups: {counts}")
    if kept and kept.shared_groups:
        result.append(
            f"warning: {len(kept.shared_groups):,} groups are in more than one split of your data, "
            f"and leak: {', '.join(kept.shared_groups[:3])}"
        )
    return result


if __name__ == "__main__":
    stage.run(main)
