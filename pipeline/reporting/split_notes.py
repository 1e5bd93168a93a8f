"""What a reader should know of the splits: too few examples, leaks, copies and corrections."""

from __future__ import annotations

from pipeline.config.params import NONE, Params
from pipeline.config.parts import runs_on_micro
from pipeline.files.reports.folds import FOLDS, command, number
from pipeline.files.reports.preprocess import PreprocessReport, Together
from pipeline.process.words import counted, verb
from pipeline.reporting import statistics

DARK = 31  # of 255: pixels of five bits or fewer, such as 0 and 1


def notes(summary: PreprocessReport, settings: Params) -> list[str]:
    """What the reader should know of the splits."""
    result = []
    sizes = {name: split.images for name, split in summary.splits.items()}
    if note := too_few(sizes["test"] + sizes["validation"], settings):
        result.append(f"note: {note}")
    train, validation = (summary.splits[name].per_class for name in ("train", "validation"))
    fewest = min((train[name] + validation[name] for name in train), default=FOLDS)
    groups = summary.together.groups if summary.together else None
    outside = groups["train"] + groups["validation"] if groups else None
    result += [f"note: {note}" for note in few(sizes, settings, fewest, outside)]
    if summary.others:
        counts = ", ".join(f"{name}: {count:,}" for name, count in summary.others.items())
        result.append(f"pictures of none of the classes: {counts}")
    if summary.leaks:
        shared = (f"{name.replace('_', ' ')}: {count:,}" for name, count in summary.leaks.items())
        result.append(
            f"warning: the same examples are in two splits, and leak: {', '.join(shared)}"
        )
    if summary.corrected:
        result.append(f"corrections: {summary.corrected.sentence}")
    return result + (_kept_together(summary.together) if summary.together else [])


def _kept_together(together: Together) -> list[str]:
    """On copies and groups."""
    result = []
    if copies := together.copies:
        result.append(
            f"note: {sum(map(len, copies)):,} pictures are copies or near copies, such as "
            f"{' and '.join(copies[0][:2])}; {PreprocessReport.PATH} lists them"
        )
    if different := together.differently_labelled:
        result.append(
            f"warning: {counted(len(different), 'group')} of copies with different labels, such as "
            f"{' and '.join(different[0][:2])}; one of the labels is probably wrong"
        )
    if together.groups:
        counts = ", ".join(f"{name}: {count:,}" for name, count in together.groups.items())
        result.append(f"groups: {counts}")
    if leaking := together.shared_groups:
        count = len(leaking)
        result.append(
            f"warning: {counted(count, 'group')} {verb(count, 'is', 'are')} in more than one "
            f"split of your data, and {verb(count, 'leaks', 'leak')}: {', '.join(leaking[:3])}"
        )
    return result


def dark(brightest: int) -> list[str]:
    """What is wrong with images if their brightest pixel is far below that of a photo."""
    if not 0 < brightest <= DARK:
        return []
    return [
        f"the brightest training pixel is {brightest} of 255; photos on the device are brighter, "
        f"so the model would not know them: multiply yours by {255 / brightest:.4g}, and round them"
    ]


def too_few(unseen: int, settings: Params) -> str | None:
    """A warning if the unseen examples are too few to prove an exported file, otherwise None.

    `unseen` counts the examples that the weights have not seen: the validation and test sets.
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
        f"{unseen} validation and test examples are too few to prove that an exported file loses "
        f"at most {max_accuracy_drop} (export.max_accuracy_drop): "
        f"files will be `not shown`{no_bundle}; {needed:,} can prove it"
    )


def few(
    sizes: dict[str, int], settings: Params, fewest: int = FOLDS, groups: int | None = None
) -> list[str]:
    """What follows from few examples for the test, and from few for the conversion to int8.

    `fewest` are those of the rarest class outside the test set, and `groups` the groups there.
    """
    notes, target = [], settings.problem.target
    if sizes["test"] < statistics.FEW_TESTED and settings.problem.unit is None:
        outside = sizes["train"] + sizes["validation"]
        has_folds = settings.evaluate.folds != NONE
        possible = FOLDS if groups is None else number(groups, groups)
        folds = "evaluate.folds" if has_folds else command(min(fewest, possible))
        judges = f"; {folds} judges the recipe on all {outside:,} others"
        notes.append(
            f"{sizes['test']} test examples: an accuracy of {100 * target:.0f} % would have a 95 % "
            f"interval of {statistics.expected_interval(target, sizes['test'])}"
            f"{judges if has_folds or possible else ''}"
        )
    is_int8 = any("int8" in name or runs_on_micro(name) for name in settings.export.formats)
    if is_int8 and sizes["train"] < settings.export.calibration_images:
        notes.append(
            f"{sizes['train']} training examples are fewer than export.calibration_images, so all "
            "of them set the ranges of int8"
        )
    return notes
