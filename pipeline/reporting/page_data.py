"""The data on reports/index.html: classes, groups and splits, and what is suspicious."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.preprocess import PreprocessReport, SplitReport
from pipeline.process.words import counted, verb
from pipeline.reporting import by_group
from pipeline.reporting.tables import interval

SPLITS = {"train": "training", "validation": "validation", "test": "test"}
SPLIT_NAMES = {name: f"{label} set" for name, label in SPLITS.items()}
NAMED = 10  # files that cannot be read


@dataclass(frozen=True)
class ClassRow:
    name: str
    images: list[int]  # in each of SPLITS
    recall: float
    precision: float


@dataclass(frozen=True)
class GroupRow:
    name: str
    accuracy: float
    interval: str
    counts: str


def class_rows(reports: BundleReports) -> list[ClassRow]:
    """Every class with its counts and scores, the lowest recall first."""
    if not isinstance(reports.evaluate, EvaluationReport):
        return []
    splits = reports.preprocess.splits
    rows = [
        ClassRow(
            name,
            [splits[split].per_class[name] for split in SPLITS],
            scores.recall,
            scores.precision,
        )
        for name, scores in reports.evaluate.per_class.items()
    ]
    return sorted(rows, key=lambda row: row.recall)


def group_rows(reports: BundleReports) -> list[GroupRow]:
    """Every group of `preprocess.group` in the test set, the worst first."""
    if not isinstance(reports.evaluate, EvaluationReport):
        return []
    return [
        GroupRow(
            name,
            score.accuracy,
            interval(score.interval),
            f"{score.right:,} of {score.images:,}",
        )
        for name, score in (reports.evaluate.per_group or {}).items()
    ]


def groups_in_words(reports: BundleReports) -> str:
    """The worst group; empty without groups."""
    evaluation = reports.evaluate
    if isinstance(evaluation, EvaluationReport):
        return by_group.sentence(evaluation.per_group or {})
    return ""


def split_rows(preprocess: PreprocessReport) -> list[dict[str, str]]:
    return [
        {
            "set": SPLITS[split],
            "examples": f"{part.images:,}",
            **_contents(part),
        }
        for split, part in preprocess.splits.items()
    ]


def _contents(part: SplitReport) -> dict[str, str]:
    """The sizes of its classes, or the range of its numbers."""
    if counts := part.per_class.values():
        return {"smallest class": f"{min(counts):,}", "largest class": f"{max(counts):,}"}
    figures = part.__pydantic_extra__
    names = ("minimum", "mean", "maximum", "standard_deviation")
    return {name.replace("_", " "): f"{figures[f'number_{name}']:.4g}" for name in names}


def data_warnings(preprocess: PreprocessReport) -> list[str]:
    """What is suspicious about the data: leaks, duplicates, empty and unreadable examples."""
    duplicates = preprocess.duplicates.items()
    warnings = [_duplicates(name, count) for name, count in duplicates if count]
    warnings += [
        f"{counted(part.empty, 'example')} of the {SPLIT_NAMES[split]} "
        f"{verb(part.empty, 'is', 'are')} empty: "
        "one flat colour, no id, or no change over time."
        for split, part in preprocess.splits.items()
        if part.empty
    ]
    unreadable = preprocess.unreadable
    if unreadable:
        more = f", and {len(unreadable) - NAMED:,} more" if len(unreadable) > NAMED else ""
        names = ", ".join(unreadable[:NAMED])
        warnings.append(f"{counted(len(unreadable), 'file')} could not be read: {names}{more}.")
    return warnings


def _duplicates(name: str, count: int) -> str:
    examples = counted(count, "example")
    if name.startswith("within_"):
        split = SPLIT_NAMES[name.removeprefix("within_")]
        are_copies = verb(count, "is a copy of another", "are copies of others")
        return f"{examples} of the {split} {are_copies} in it."
    first, second = (SPLIT_NAMES[split] for split in name.split("_and_"))
    are = verb(count, "is", "are")
    return f"{examples} {are} in both the {first} and the {second}, a leak."
