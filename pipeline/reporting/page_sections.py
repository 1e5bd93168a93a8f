"""The contents of reports/index.html, section by section, taken from the reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.params import Params
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.evaluate import AnyGate, EvaluationReport, Gate, NumberReport
from pipeline.files.reports.export import AnyFormat, FailedConversion
from pipeline.files.reports.preprocess import PreprocessReport, SplitReport
from pipeline.files.reports.verify import AnyPair, RanPair
from pipeline.process.words import counted, verb
from pipeline.reporting import by_folds, by_group, summary
from pipeline.reporting.tables import amount, amounts, interval, percent
from serving.gate import COULD_NOT_RUN, NOT_SHOWN, PROVEN, VERDICTS, WORSE

HEALTHY = "good_fit"
SPLITS = {"train": "training", "validation": "validation", "test": "test"}
SPLIT_NAMES = {name: f"{label} set" for name, label in SPLITS.items()}
GATE_TITLES = {
    "target": "Target",
    "baseline": "Baseline",
    "classes": "Every class predicted",
    "export": "Conversion",
    "verify": "Proof of the files",
    "embed": "Without Python",
}

Gates = dict[str, list[str]]  # for each gate the sentences on its failures


@dataclass(frozen=True)
class GateVerdict:
    title: str
    passed: bool
    sentences: list[str]


@dataclass(frozen=True)
class FileVerdict:
    """The worst verdict on a file, and a remark on each place where it is not proven."""

    file: str
    verdict: str
    remarks: list[str]


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


@dataclass(frozen=True)
class Step:
    purpose: str
    command: str


def gate_verdicts(settings: Params, reports: BundleReports, gates: Gates) -> list[GateVerdict]:
    """Every gate, with the sentences on its failures, or one that says how it was passed."""
    passed = {
        "target": _target_reached,
        "baseline": _baseline_beaten,
        "classes": _every_class_predicted,
        "export": _converted,
        "verify": _verified,
        "embed": _embedded,
    }
    return [
        GateVerdict(GATE_TITLES[name], not failures, failures or [passed[name](settings, reports)])
        for name, failures in gates.items()
    ]


def _target_reached(settings: Params, reports: BundleReports) -> str:
    target = settings.problem.target
    if settings.problem.unit is not None:
        return f"{score(reports)} The target allows {amount(target, settings.problem.unit)}."
    return f"{score(reports)} It reaches the target of {percent(target)}."


def score(reports: BundleReports) -> str:
    """The accuracy, or the mean absolute error, on the test set."""
    evaluation = reports.evaluate
    if isinstance(evaluation, NumberReport):
        return (
            f"The mean absolute error is {amount(evaluation.test_error, evaluation.unit)} (95 % "
            f"interval {amounts(evaluation.test_error_interval, evaluation.unit)}) on "
            f"{evaluation.test_images:,} examples that training never saw."
        )
    assert isinstance(evaluation, EvaluationReport)
    sentence = (
        f"Test accuracy is {percent(evaluation.test_accuracy)} (95 % interval "
        f"{interval(evaluation.test_accuracy_interval)}) on {evaluation.test_images:,} "
        "examples that training never saw."
    )
    return f"{sentence} {by_folds.sentence(evaluation.folds)}" if evaluation.folds else sentence


def number_remarks(reports: BundleReports) -> str:
    """Further figures of a number; empty for other answers."""
    evaluation = reports.evaluate
    if not isinstance(evaluation, NumberReport):
        return ""
    low, high = evaluation.r_squared_interval
    return (
        "The root mean square error is "
        f"{amount(evaluation.root_mean_square_error, evaluation.unit)} (95 % interval "
        f"{amounts(evaluation.root_mean_square_error_interval, evaluation.unit)}). R squared, the "
        f"share of the variance that the model explains, is {evaluation.r_squared:.4f} ({low:.4f} "
        f"to {high:.4f})."
    )


def groups_in_words(reports: BundleReports) -> str:
    """The worst group; empty without groups."""
    evaluation = reports.evaluate
    if isinstance(evaluation, EvaluationReport):
        return by_group.sentence(evaluation.per_group or {})
    return ""


def _baseline_beaten(_: Params, reports: BundleReports) -> str:
    gate = reports.evaluate.judged
    reached = ""
    if isinstance(gate, Gate):
        reached = percent(gate.baseline_accuracy)
    elif isinstance(reports.evaluate, NumberReport):
        reached = amount(reports.evaluate.gate.baseline_error, reports.evaluate.unit)
    name = summary.baseline_row(reports.baseline)["model"].removeprefix("baseline: ")
    return (
        f"The model beats the baseline, {name}, which reaches "
        f"{reached}, beyond chance ({p_value(gate)})."
    )


def _every_class_predicted(_: Params, reports: BundleReports) -> str:
    assert isinstance(reports.evaluate, EvaluationReport)
    worst = percent(reports.evaluate.worst_recall)
    return f"The model predicts every class of the test set; the lowest recall is {worst}."


def p_value(gate: AnyGate) -> str:
    value = gate.baseline_p_value
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _converted(_: Params, reports: BundleReports) -> str:
    return f"Converted to {counted(len(reports.export.formats), 'format')}."


def _verified(settings: Params, reports: BundleReports) -> str:
    files = file_verdicts(reports)
    counts = {verdict: sum(file.verdict == verdict for file in files) for verdict in VERDICTS}
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    count, required = counted(len(files), "file"), f'verify.require is "{settings.verify.require}".'
    return f"Of {count}: {listed}. {required} {_promise_kept(settings, reports)}"


def _promise_kept(settings: Params, reports: BundleReports) -> str:
    if settings.problem.unit is not None:
        return _intervals_hold(settings, reports)
    kept = [pair.rejection for pair in reports.verify.native if pair.rejection]
    if not kept:
        reasons = reports.verify.by_reason
        asked = "no answer is too unsure: problem.coverage and problem.max_error are null"
        return f"Every input gets an answer, as {'; '.join(reasons) or asked}."
    values = {"coverage": settings.problem.coverage, "max_error": settings.problem.max_error}
    named = [f"problem.{name} is {value:g}" for name, value in values.items() if value is not None]
    return (
        f"Every file answers at least {percent(min(entry.coverage for entry in kept))} of the test "
        f"set, and at most {percent(max(entry.error for entry in kept))} of its answers are wrong. "
        f"{' and '.join(named)}.{_others_rejected(reports)}"
    )


def _others_rejected(reports: BundleReports) -> str:
    judged = [pair.others for pair in reports.verify.native if pair.others]
    if not judged:
        return ""
    worst = min(judged, key=lambda others: others.share)
    low, high = map(percent, worst.interval)
    return (
        f" Every file rejects at least {percent(worst.share)} of the test pictures that are none "
        f"of the classes (95 % interval {low} to {high})."
    )


def _intervals_hold(settings: Params, reports: BundleReports) -> str:
    held = [pair.coverage for pair in reports.verify.numbers if pair.coverage]
    if not held:
        reasons = "; ".join(reports.verify.by_reason) or "problem.coverage is null"
        return f"No number has an interval, as {reasons}."
    return (
        f"The interval of every file holds at least {percent(min(part.share for part in held))} of "
        f"the true numbers of the test set. problem.coverage is {settings.problem.coverage:g}."
    )


def _embedded(_: Params, reports: BundleReports) -> str:
    targets = reports.embed.targets
    refused = [row.target for row in targets if row.refused is not None]
    if not targets:
        return "embed.targets names no target without Python."
    sentence = f"{len(targets) - len(refused)} of {len(targets)} targets take the model"
    skipped = f'; {", ".join(refused)} was skipped, as embed.targets is "all"' if refused else ""
    return f"{sentence}{skipped}."


def file_verdicts(reports: BundleReports) -> list[FileVerdict]:
    pairs = summary.by_format(reports.verify)
    return [
        _file_verdict(name, entry, pairs.get(name, []))
        for name, entry in reports.export.formats.items()
    ]


def _file_verdict(name: str, entry: AnyFormat, pairs: Sequence[AnyPair]) -> FileVerdict:
    if isinstance(entry, FailedConversion):
        return FileVerdict(name, COULD_NOT_RUN, [f"could not be converted: {entry.error}"])
    ran = [pair for pair in pairs if isinstance(pair, RanPair)]
    if not any(pair.is_native for pair in ran):
        return FileVerdict(name, COULD_NOT_RUN, _remarks(pairs) or [summary.UNREAD])
    worst = max((pair.state for pair in ran), key=VERDICTS.index)
    return FileVerdict(name, worst, _remarks(pairs))


def _remarks(pairs: Sequence[AnyPair]) -> list[str]:
    """Why pairs are not proven: the places that share a verdict and its reason share a remark."""
    places: dict[tuple[str, str | None], list[str]] = {}
    for pair in pairs:
        if pair.state != PROVEN:
            places.setdefault((pair.state, pair.reason), []).append(summary.place(pair))
    return [f"{state} on {', '.join(names)}: {why}" for (state, why), names in places.items()]


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


def data_warnings(preprocess: PreprocessReport, most: int = 10) -> list[str]:
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
        more = f", and {len(unreadable) - most:,} more" if len(unreadable) > most else ""
        names = ", ".join(unreadable[:most])
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


def next_steps(settings: Params, reports: BundleReports, gates: Gates, bundle: str) -> list[Step]:
    """Commands to paste: the cures of the gates that failed, or what to do with the bundle."""
    improve = [
        Step("What to change next, most promising first", "edgeproof advise"),
        Step("Let it try such changes by itself, and keep those that help", "edgeproof improve"),
    ]
    compare = Step("Compare with other runs in MLflow", "edgeproof ui")
    if not any(gates.values()):
        purpose = "Check that this machine may run the bundle; then do the same on the device"
        check = Step(purpose, f"serving check {bundle}")
        return [check, *improve, compare]
    cures = improve if gates["target"] or gates["baseline"] else []
    draft = Step("Pack a bundle marked NOT PROVEN, to try it anyway", "edgeproof draft")
    return [*cures, *_file_cures(settings, reports), *_target_cure(gates), draft, compare]


def _file_cures(settings: Params, reports: BundleReports) -> list[Step]:
    files = file_verdicts(reports)
    failed = [
        file.file for file in files if file.verdict == WORSE or file.file in reports.export.errors
    ]
    rest = [file.file for file in files if file.file not in failed]
    steps = []
    if failed and rest:
        override = f"export.formats=[{','.join(rest)}]"
        steps.append(Step(f"Do without {', '.join(failed)}", f"dvc exp run -S '{override}'"))
    if settings.verify.require == PROVEN and any(file.verdict == NOT_SHOWN for file in files):
        override = f"verify.require={json.dumps('not worse')}"
        purpose = "Ship files without a proven loss; more images in the test set would prove them"
        steps.append(Step(purpose, f"dvc exp run -S '{override}'"))
    return steps


def _target_cure(gates: Gates) -> list[Step]:
    step = Step("Skip the targets that refuse the model", "dvc exp run -S embed.targets=all")
    return [step] if gates["embed"] else []
