"""Stage 2: split the data into training, validation and test set, and report on their contents.

    python -m pipeline.preprocess

Reads: data/raw. Writes: data/prepared/{train,validation,test}/{images,labels}.npy,
data/prepared/description.json, reports/preprocess.json, with preprocess.group
data/prepared/test/groups.json, and with dataset.other data/prepared/{train,test}/other.npy.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from pipeline import inputs, targets
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, digests, empty_classes, raw
from pipeline.files.artifacts import Array, Description, Rows
from pipeline.files.corrections import TEST, TRAINING
from pipeline.files.reports.preprocess import (
    CHANCE,
    Evidence,
    PreprocessReport,
    SplitReport,
)
from pipeline.files.selection import (
    Selection,
    corrected,
    prepare,
    prepare_others,
    together,
    together_in_splits,
)
from pipeline.files.splits import has_one_of_each, splits
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.reporting.split_notes import dark, notes


def check(images: Rows, labels: Array, description: Description, part: str) -> None:
    """Rejects data from which nothing can be learned. Raises UserError."""
    if len(images) != len(labels):
        raise UserError(
            f"the {part} part has {len(images)} {inputs.noun(description.kind)} and {len(labels)} "
            "labels; expected as many of each"
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


def select(description: Description, settings: Params) -> dict[str, Selection]:
    """The rows of each split. Raises UserError, before any of them is read."""
    raw_train, raw_test = raw.load("train"), raw.load("test")
    has_test = len(raw_test[1]) > 0
    check(*raw_train, description, "training")
    test_fraction = None if has_test else settings.dataset.test
    validation, groups = raw.validation_rows(), together_in_splits(settings.preprocess.group)
    rows = splits(
        targets.target(description.target).strata(raw_train[1]),
        test_fraction,
        settings.preprocess,
        validation,
        groups,
    )
    rows.setdefault("test", np.arange(len(raw_test[1])))
    parts = {"train": "train", "validation": "train", "test": "test" if has_test else "train"}
    arrays = {"train": raw_train, "test": raw_test}
    names = {part: raw.group_names(part, settings.preprocess.group) for part in arrays}
    # The rows of a split do not depend on corrections, so figures before and after compare.
    train_edits, test_edits = raw.edits(TRAINING), raw.edits(TEST)
    edits = {"train": train_edits, "validation": train_edits, "test": test_edits}
    selections = {
        split: Selection.of(arrays[part], rows[split], names[part], edits[split])
        for split, part in parts.items()
    }
    if has_one_of_each(description.target):
        is_own = {"validation": validation is not None, "test": has_test}
        own = {split: rows[split] for split, given in is_own.items() if given}
        empty_classes.check(
            selections, description.class_names, own, groups.numbers, settings.preprocess
        )
    for split, selection in selections.items():
        check(selection.rows, selection.labels[selection.rows], description, split)
    return selections


def main() -> None:
    settings = params.load()
    description = replace(raw.description(), unit=settings.problem.unit)
    targets.check_unit(description)
    selections = select(description, settings)
    parts = prepare(selections)
    others = prepare_others(settings)
    kind, train = inputs.kind(description.kind), parts["train"][0]
    description = replace(description, range=kind.value_range(train, description))
    artifacts.save_description(artifacts.DESCRIPTION, description)
    evidence = kind.evidence(train, parts["validation"][0])
    is_own_split = raw.validation_rows() is None
    if is_own_split and (settings.preprocess.group or description.group):
        # The people of one split are not those of another, by design.
        evidence = replace(evidence, told_apart=CHANCE, told_apart_p_value=1.0)
    summary = report(parts, description, evidence)
    if kept_together := together(selections):
        summary = summary.changed(together=kept_together)
    if labels := corrected(selections, settings):
        summary = summary.changed(corrected=labels)
    if others:
        summary = summary.changed(others=others)
    summary.save()
    noun = inputs.noun(description.kind)
    sizes = [f"{name}: {split.images:,} {noun}" for name, split in summary.splits.items()]
    print(", ".join(sizes))
    for note in notes(summary, settings):
        print(note)
    if kind.IMAGES:
        for warning in dark(int((summary.splits["train"].model_extra or {})["pixel_maximum"])):
            print(f"warning: {warning}")


if __name__ == "__main__":
    stage.run(main)
